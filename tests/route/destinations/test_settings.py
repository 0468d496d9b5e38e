"""The settings of a destination."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from route.destinations.settings import DestinationSettings

SECRET = "whsec_" + "A" * 32
SOUND: dict[str, Any] = {"url": "https://desk.example/hook", "secret": SECRET}


def settings(**changed: Any) -> DestinationSettings:
    return DestinationSettings.model_validate({**SOUND, **changed})


def test_address_and_secret_are_all_that_is_needed() -> None:
    assert settings().signing_keys() == (bytes(24),)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in DestinationSettings.model_fields.values())


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/h", "http://localhost/h", "http://[::1]:1/h", "http://10.1.2.3/h"]
)
def test_plain_http_is_fine_for_an_address_of_ones_own(url: str) -> None:
    assert settings(url=url).url == url


def test_and_for_a_name_of_ones_own_if_said() -> None:
    assert settings(url="http://desk.internal/h", allow_private=True).allow_private


@pytest.mark.parametrize(
    ("url", "allowed", "networks"),
    [
        ("https://desk.example/", False, ""),
        ("https://desk.example/", True, None),
        ("https://10.1.2.3/", False, None),
        ("https://desk.internal/", ["10.20.0.0/16", "fd00::/8"], "10.20.0.0/16 fd00::/8"),
        ("https://Desk.Internal./", ["desk.internal"], None),
        ("https://desk.internal/", ["DESK.internal."], None),
        ("https://other.internal/", ["desk.internal"], ""),
        ("https://desk.internal/", [], ""),
        ("https://169.254.1.1/", ["169.254.0.0/16"], "169.254.0.0/16"),
    ],
)
def test_private_networks_are_allowed_by_name(url: str, allowed: Any, networks: str | None) -> None:
    found = settings(url=url, allow_private=allowed).private_networks()
    assert (None if found is None else " ".join(map(str, found))) == networks


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"url": "http://desk.example/hook"}, "url must be https"),
        ({"url": "http://93.184.215.14/hook"}, "url must be https"),
        ({"url": "ftp://desk.example"}, "must be an http or https address"),
        ({"url": "desk.example"}, "must be an http or https address"),
        ({"url": "https://"}, "must be an http or https address"),
        ({"url": "https://desk.example/\r\nX: y"}, "must be an http or https address"),
        ({"url": "https://käse.example/"}, "must be an http or https address"),
        ({"url": "https://user:pass@desk.example/"}, "neither user, password"),
        ({"url": "https://desk.example/#part"}, "neither user, password nor fragment"),
        ({"url": "https://desk.example:99999/"}, "must have a port of 1 to 65535"),
        ({"url": "https://desk.example:hunter2/"}, "must have a port of 1 to 65535"),
        ({"url": "https://[hunter2/"}, "brackets around an IPv6 address alone"),
        ({"url": "https://2130706433/"}, "IPv4 address as four decimal numbers"),
        ({"url": "https://0x7f.1/"}, "IPv4 address as four decimal numbers"),
        ({"url": "https://0177.0.0.1/"}, "IPv4 address as four decimal numbers"),
        ({"url": "https://127.1/"}, "IPv4 address as four decimal numbers"),
        ({"url": "https://10.0.0.1./"}, "IPv4 address as four decimal numbers"),
        ({"url": "https://[fe80::1%25eth0]/"}, "without a zone"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url must be https"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "link-local, multicast or reserved"),
        ({"url": "https://0.0.0.0/"}, "link-local, multicast or reserved"),
        ({"url": "https://[::]/"}, "link-local, multicast or reserved"),
        ({"url": "https://[::ffff:169.254.169.254]/"}, "link-local, multicast or reserved"),
        ({"url": "https://[fe80::1]/"}, "link-local, multicast or reserved"),
        ({"url": "https://224.0.0.1/"}, "link-local, multicast or reserved"),
        ({"allow_private": ["10.0.0.1/8"]}, "neither a host name nor a network"),
        ({"allow_private": ["desk internal"]}, "neither a host name nor a network"),
        ({"allow_private": ["0x7f.1"]}, "neither a host name nor a network"),
        ({"allow_private": ["*.internal"]}, "neither a host name nor a network"),
        ({"max_per_minute": 0}, "greater than or equal to 1"),
        ({"max_per_author_per_hour": 0}, "greater than or equal to 1"),
        ({"secret": None}, "one of secret and secret_file"),
        ({"secret_file": "/run/secret"}, "one of secret and secret_file"),
        ({"secret": "hunter2"}, "must be whsec_"),
        ({"first_wait_s": 100, "max_wait_s": 10}, "first_wait_s must not be over max_wait_s"),
        ({"tries": 0}, "greater than or equal to 1"),
        ({"timeout_s": 0}, "greater than 0"),
        ({"jitter": 1}, "less than 1"),
        ({"proxy": "proxy.example:3128"}, "must begin with http://"),
        ({"proxy": "https://proxy.example:3128"}, "must begin with http://"),
        ({"proxy": "socks5://proxy.example:1080"}, "must begin with http://"),
        (
            {"proxy": "http://me:pa/ss@proxy.example:3128"},
            "neither user nor password, which proxy_login or proxy_login_file is for",
        ),
        ({"proxy": "http://proxy.example:3128/"}, "must hold no path"),
        ({"proxy": "http://proxy.example:3128?a"}, "must hold no path"),
        ({"proxy": "http://proxy.example"}, "must end with a port"),
        ({"proxy": "http://proxy.example:0"}, "must end with a port"),
        ({"proxy": "http://proxy.example:65536"}, "must end with a port"),
        ({"proxy": "http://proxy.example:³"}, "must end with a port"),
        ({"proxy": "http://:3128"}, "must hold a host name or an address"),
        ({"proxy": "http://proxy example:3128"}, "must hold a host name or an address"),
        ({"proxy": "http://[fe80::1%eth0]:3128"}, "sound IPv6 address without a zone"),
        ({"proxy_login": "me:secret"}, "proxy_login needs proxy"),
        ({"proxy_login_file": "/run/login"}, "proxy_login_file needs proxy"),
        (
            {"proxy": "http://proxy.example:3128", "proxy_login": "me:secret", "proxy_login_file": "/run/login"},
            "one of proxy_login and proxy_login_file is enough",
        ),
        ({"proxy": "http://proxy.example:3128", "proxy_login": "me"}, "must be user:password"),
        ({"proxy": "http://proxy.example:3128", "proxy_login": ":secret"}, "must be user:password"),
        ({"proxy": "http://proxy.example:3128", "proxy_login": "me:\r\nX: y"}, "no control characters"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
        ({"type": "pigeon"}, "Input should be 'webhook'"),
        ({"unknown_outcome": "forget"}, "Input should be 'park' or 'send'"),
    ],
)
def test_what_is_wrong_is_told(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings(**changed)


def test_what_is_wrong_is_told_without_the_address_or_the_secret() -> None:
    with pytest.raises(ValidationError) as told:
        settings(url="https://desk.example:99999/T0K3N", secret="whsec_S3CR3T")
    assert "T0K3N" not in str(told.value)
    assert "S3CR3T" not in str(told.value)
    with pytest.raises(ValidationError) as told:
        settings(url="https://desk.example:S3CR3T/")
    assert "S3CR3T" not in str(told.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"proxy": "http://me:S3CR3T@proxy.example:3128"},
        {"proxy": "http://proxy.example:S3CR3T"},
        {"proxy": "http://S3CR3T proxy:3128"},
        {"proxy": "S3CR3T"},
        {"proxy": "http://proxy.example:3128", "proxy_login": "S3CR3T"},
        {"proxy_login": "me:S3CR3T"},
    ],
)
def test_what_is_wrong_with_a_proxy_is_told_without_it(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as told:
        settings(**changed)
    assert "S3CR3T" not in str(told.value)


@pytest.mark.parametrize("place", ["proxy.example:3128", "10.1.2.3:8080", "[fd00::1]:3128", "Proxy:1"])
def test_a_proxy_is_named_by_host_and_port_and_may_be_private(place: str) -> None:
    made = settings(proxy=f"http://{place}", proxy_login="me:pass:word")
    assert made.proxy == f"http://{place}"
    assert made.proxy_headers() == {"Proxy-Authorization": "Basic bWU6cGFzczp3b3Jk"}
    assert "pass:word" not in repr(made)


def test_no_secret_is_shown() -> None:
    shown = repr(settings(url="https://desk.example/hook/T0K3N"))
    assert SECRET not in shown
    assert "T0K3N" not in shown


def test_the_secret_may_stand_in_a_file_with_several_while_keys_rotate(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\nwhsec_{'B' * 32}\n")
    keys = settings(secret=None, secret_file=file).signing_keys()
    assert len(keys) == 2
    assert keys[0] == bytes(24)


@pytest.mark.parametrize(("content", "told"), [("", "is empty"), ("hunter2", "each line must be whsec_")])
def test_a_bad_file_is_told_without_its_content(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "secret"
    file.write_text(content)
    with pytest.raises(ValueError, match=told) as error:
        settings(secret=None, secret_file=file).signing_keys()
    assert "hunter2" not in str(error.value)


def test_the_login_of_a_proxy_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "login"
    file.write_text("me:pass:word\n")
    made = settings(proxy="http://proxy.example:3128", proxy_login_file=file)
    assert made.proxy_headers() == {"Proxy-Authorization": "Basic bWU6cGFzczp3b3Jk"}


@pytest.mark.parametrize(
    ("content", "told"),
    [("", "must be user:password"), ("hunter2", "must be user:password"), ("hunter2:\tx", "control")],
)
def test_a_bad_file_of_the_login_is_told_without_its_content(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "login"
    file.write_text(content)
    with pytest.raises(ValueError, match=told) as error:
        settings(proxy="http://proxy.example:3128", proxy_login_file=file).proxy_headers()
    assert str(file) in str(error.value)
    assert "hunter2" not in str(error.value)
