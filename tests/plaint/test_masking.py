"""Secrets don't come into logs and messages, whoever puts them there."""

import logging
from io import StringIO
from pathlib import Path

import orjson
import pytest

from plaint import masking
from plaint.logs import FORMAT, SafeFormatter
from plaint.masking import hide_secrets, masked
from plaint.settings import load_settings
from schemas.mask import MASK, Mask

WHSEC = "whsec_" + "c2VjcmV0IG9mIHRoZSBoZWxwZGVzaywgMzI="


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test hides is no secret in another."""
    monkeypatch.setattr(masking, "MASKED", Mask())


def test_the_secrets_of_the_settings_are_masked_once_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "plaint.yaml"
    file.write_text(
        f"""
kafka: {{brokers: ["kafka:9092"], security_protocol: SASL_SSL, sasl_username: plaint, sasl_password: 'hunter2 "x"'}}
destinations:
  desk:
    url: "https://desk.example/hooks/T0K3N-in-path/x?auth=S3CR3T-in-query&v=1"
    secret: {WHSEC}
    proxy: http://proxy.example:3128
    proxy_login: plaint:swordfish
"""
    )
    load_settings(file)
    spoken = [
        'Login failed for plaint with "hunter2 "x""',
        orjson.dumps({"password": 'hunter2 "x"'}).decode(),
        "POST https://desk.example/hooks/T0K3N-in-path/x?auth=S3CR3T-in-query&v=1",
        "no such path: /hooks/T0K3N-in-path/x",
        "auth=S3CR3T-in-query",
        f"key is {WHSEC}",
        "hunter2%20%22x%22",
        "the proxy knows no plaint:swordfish",
        "swordfish is no password",
        "Proxy-Authorization: Basic cGxhaW50OnN3b3JkZmlzaA==",
    ]
    for line in spoken:
        assert MASK in masked(line)
        assert not any(
            secret in masked(line) for secret in ("hunter2", "T0K3N", "S3CR3T", "swordfish", "cGxhaW50", WHSEC[6:])
        )
    assert masked("POST https://desk.example failed, plaint/kafka/publisher.py:7") == (
        "POST https://desk.example failed, plaint/kafka/publisher.py:7"
    )


def test_a_log_record_and_its_traceback_are_masked() -> None:
    masking.MASKED.hide(["hunter2"])
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(SafeFormatter(FORMAT))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        raise RuntimeError("login as plaint:hunter2 was refused \x1b[31m")
    except RuntimeError:
        log.exception("failed with %s", {"password": "hunter2"})
    assert "hunter2" not in out.getvalue()
    assert out.getvalue().count(MASK) == 3
    assert "\x1b" not in out.getvalue()


def test_what_the_command_line_says_of_a_failure_is_masked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from plaint import cli
    from schemas.faults import Unavailable

    def fail(**_: object) -> None:
        masking.MASKED.hide(["hunter2"])
        raise Unavailable("the broker says: no user plaint:hunter2")

    monkeypatch.setattr(cli.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 69
    assert capsys.readouterr().err == f"plaint: the broker says: no user plaint:{MASK}\n"


def test_settings_without_secrets_hide_nothing() -> None:
    from plaint.settings import Settings

    hide_secrets(Settings().kafka)
    assert masked("plaint.kafka None true 9092") == "plaint.kafka None true 9092"
