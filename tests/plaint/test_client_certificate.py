"""The certificate that is shown to the brokers: what can be wrong with its files, and whom it names."""

import json
import shutil
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from plaint import masking
from plaint.cli import cli
from plaint.diagnosis import brokers
from plaint.kafka.certificate import TlsUnusable, is_refused, read
from plaint.kafka.settings import KafkaSettings
from plaint.masking import masked
from plaint.preflight import check_kafka
from plaint.settings import SettingsInvalid, load_settings
from schemas.mask import Mask
from tests.support.https import self_signed, signed

PASSWORD = "s3same"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority's ``cert``; ``crm.pem`` and ``other.pem`` with their keys; ``crm.key`` encrypted in two ways; junk."""
    folder = tmp_path_factory.mktemp("certificates")
    self_signed(folder, "office")
    for name in ("crm", "other"):
        signed(folder, f"/O=Acme/CN={name}", folder, name)
    for name, how in (("locked.key", ["pkcs8", "-topk8"]), ("old.key", ["ec", "-aes256"])):
        lock = ["openssl", *how, "-in", "crm.key", "-passout", f"pass:{PASSWORD}", "-out", name]
        subprocess.run(lock, check=True, capture_output=True, cwd=folder)
    subprocess.run(["openssl", "genrsa", "-out", "rsa.key"], check=True, capture_output=True, cwd=folder)
    (folder / "both.pem").write_text((folder / "crm.key").read_text() + (folder / "crm.pem").read_text())
    (folder / "words.pem").write_text("no certificate, and no key")
    (folder / "word").write_text(f"{PASSWORD}\n")
    (folder / "empty").touch()
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of those as the working directory."""
    monkeypatch.setattr(masking, "MASKED", Mask())
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def kafka(**given: Any) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {"brokers": ["127.0.0.1:1"], "security_protocol": "SSL", "ssl_cafile": "cert", **given}
    )


@pytest.mark.parametrize(
    "given",
    [
        {"ssl_certfile": "crm.pem", "ssl_keyfile": "crm.key"},
        {"ssl_certfile": "both.pem"},
        {"ssl_certfile": "crm.pem", "ssl_keyfile": "locked.key", "ssl_keyfile_password": PASSWORD},
        {"ssl_certfile": "crm.pem", "ssl_keyfile": "old.key", "ssl_keyfile_password_file": "word"},
        {"ssl_certfile": "crm.pem", "ssl_keyfile": "crm.key", "ssl_keyfile_password": "needless"},
    ],
)
def test_a_certificate_with_its_key_can_be_shown(here: Path, given: dict[str, str]) -> None:
    assert not check_kafka(kafka(**given))
    assert kafka(**given).principal() == "User:CN=crm,O=Acme"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"certfile": "gone.pem"}, "kafka.ssl_certfile: {}/gone.pem can't be read: No such file"),
        ({"certfile": "."}, "kafka.ssl_certfile: {} can't be read: Is a directory"),
        ({"certfile": "words.pem"}, "kafka.ssl_certfile: {}/words.pem holds no certificate"),
        ({"certfile": "crm.key"}, "kafka.ssl_certfile: {}/crm.key holds no certificate"),
        (
            {"certfile": "crm.pem"},
            "kafka.ssl_certfile: {}/crm.pem holds no private key; put the certificate's key into it",
        ),
        ({"keyfile": "gone.key"}, "kafka.ssl_keyfile: {}/gone.key can't be read: No such file"),
        ({"keyfile": "words.pem"}, "kafka.ssl_keyfile: {}/words.pem holds no private key"),
        ({"keyfile": "other.key"}, "kafka.ssl_keyfile: {}/other.key does not fit the certificate in {}/crm.pem"),
        ({"keyfile": "rsa.key"}, "kafka.ssl_keyfile: {}/rsa.key does not fit the certificate in {}/crm.pem"),
        ({"keyfile": "locked.key"}, "kafka.ssl_keyfile_password: is missing, and {}/locked.key is encrypted"),
        ({"keyfile": "old.key"}, "kafka.ssl_keyfile_password: is missing, and {}/old.key is encrypted"),
        (
            {"keyfile": "old.key", "keyfile_password": "swordfish"},
            "kafka.ssl_keyfile_password: does not decrypt {}/old.key",
        ),
        ({"keyfile": "locked.key", "keyfile_password": "x" * 2000}, "kafka.ssl_keyfile_password: does not decrypt"),
        ({"keyfile_password_file": "gone"}, "kafka.ssl_keyfile_password_file: {}/gone can't be read: No such file"),
        ({"keyfile_password_file": "empty"}, "kafka.ssl_keyfile_password_file: {}/empty is empty"),
    ],
)
def test_what_is_wrong_with_its_files_is_told_before_anything_starts(
    here: Path, given: dict[str, str], told: str
) -> None:
    given = {"certfile": "crm.pem", **given}
    [fault] = check_kafka(kafka(**{f"ssl_{name}": value for name, value in given.items()}))
    assert str(fault).startswith(told.format(here, here))
    assert "swordfish" not in str(fault)


def test_all_faults_of_the_files_are_told_at_once_by_whatever_needs_them(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"ssl_cafile": "words.pem", "ssl_certfile": "gone.pem", "ssl_keyfile": "gone.key"}
    places = ["kafka.ssl_cafile", "kafka.ssl_certfile", "kafka.ssl_keyfile"]
    assert [fault.place for fault in check_kafka(kafka(**files))] == places
    assert [finding.place for finding in brokers.check(kafka(**files)).findings] == places
    for name, value in {"brokers": '["127.0.0.1:1"]', "security_protocol": "SSL", **files}.items():
        monkeypatch.setenv(f"PLAINT_KAFKA__{name.upper()}", value)
    checked = CliRunner().invoke(cli, ["check-config"])
    assert checked.exit_code == 2
    assert all(f"{place}: " in checked.stderr for place in places)
    for command in (["topics", "--print"], ["tail"], ["run", "route"]):
        failed = CliRunner().invoke(cli, command).exception
        assert "kafka.ssl_certfile" in str(failed), command


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"ssl_certfile": "crm.pem", "security_protocol": "PLAINTEXT"}, "ssl_certfile is shown over TLS only"),
        ({"ssl_keyfile": "crm.key"}, "ssl_keyfile needs ssl_certfile"),
        ({"ssl_keyfile_password": PASSWORD}, "the password of a key needs ssl_certfile"),
        ({"ssl_keyfile_password_file": "word"}, "the password of a key needs ssl_certfile"),
        (
            {"ssl_certfile": "crm.pem", "ssl_keyfile_password": PASSWORD, "ssl_keyfile_password_file": "word"},
            "one of ssl_keyfile_password and ssl_keyfile_password_file is needed, not both",
        ),
    ],
)
def test_settings_of_it_that_do_not_go_together_are_refused(here: Path, given: dict[str, str], told: str) -> None:
    Path("plaint.yaml").write_text(json.dumps({"kafka": {"security_protocol": "SSL", **given}}))
    with pytest.raises(SettingsInvalid, match=told) as refused:
        load_settings(None)
    assert PASSWORD not in str(refused.value)


def test_the_password_of_the_key_is_masked_wherever_it_stands(here: Path) -> None:
    locked = {"ssl_certfile": "crm.pem", "ssl_keyfile": "locked.key"}
    given = kafka(**locked, ssl_keyfile_password=PASSWORD)
    assert PASSWORD not in f"{given!r} {given.model_dump_json()}"
    kafka(**locked, ssl_keyfile_password_file="word").connection()
    assert PASSWORD not in masked(f"it was {PASSWORD}")


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("/CN=plaint", "CN=plaint"),
        ("/DC=example/O=Acme, Inc./CN=plaint", "CN=plaint,O=Acme\\, Inc.,DC=example"),
        (
            '/C=DE/ST=S/L=L/street=St/OU=a=b\\+"c"/UID=u/CN=<1>;#',
            'CN=\\<1\\>\\;\\#,UID=u,OU=a\\=b\\+\\"c\\",STREET=St,L=L,ST=S,C=DE',
        ),
        ("/CN= plänt und mehr  ", "CN=\\ plänt und mehr\\ \\ "),
        ("/emailAddress=x@y.z/serialNumber=12/CN=x", "CN=x,2.5.4.5=#13023132,1.2.840.113549.1.9.1=#16057840792e7a"),
    ],
)
def test_whom_it_names_is_written_as_java_does(here: Path, subject: str, name: str) -> None:
    signed(here, subject, here, "named")
    found = read(Path("named.pem"))
    assert found.subject == name
    assert timedelta(days=1) < found.ends - datetime.now(UTC) < timedelta(days=3)


def test_with_a_login_the_user_is_who_logs_in_whatever_certificate_is_shown(here: Path) -> None:
    login = {"security_protocol": "SASL_SSL", "sasl_username": "ann", "sasl_password": "x"}
    both = kafka(ssl_certfile="both.pem", **login)
    assert (both.principal(), both.user_key) == ("User:ann", "kafka.sasl_username")
    alone = kafka(ssl_certfile="both.pem")
    assert (alone.principal(), alone.user_key) == ("User:CN=crm,O=Acme", "kafka.ssl_certfile")
    assert kafka().principal() is None
    Path("both.pem").unlink()
    with pytest.raises(TlsUnusable, match=r"both.pem can't be read"):
        alone.principal()


def test_rights_are_printed_for_whom_the_certificate_names(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SECURITY_PROTOCOL": "SSL", "SSL_CERTFILE": "both.pem"}.items():
        monkeypatch.setenv(f"PLAINT_KAFKA__{name}", value)
    printed = CliRunner().invoke(cli, ["topics", "--print"])
    assert "--allow-principal User:CN=crm,O=Acme " in printed.stdout
    Path("both.pem").unlink()
    given = CliRunner().invoke(cli, ["topics", "--print", "--principal", "User:ann"])
    assert "--allow-principal User:ann " in given.stdout


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", True),
        ("[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate", True),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca", True),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", False),
        ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure", False),
    ],
)
def test_a_refused_certificate_is_told_from_other_ends_of_a_connection(error: str, refused: bool) -> None:
    assert is_refused(ssl.SSLError(error)) is refused
