"""Settings from the file and the environment: who wins, what is refused, and that no secret is shown on the way."""

import json
import os
from pathlib import Path

import pytest

from plaint.masking import masked
from plaint.settings import Settings, SettingsInvalid, load_settings

SECRET = "whsec_" + "bm9ib2R5IG1heSBldmVyIHNlZSB0aGlzIHNlY3JldA=="
HIDDEN = "bm9ib2R5"
PASSWORD = "p4ssw0rd-of-kafka"
HOOK = {"url": "https://desk.example/hook", "secret": SECRET}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and an environment without settings."""
    for name in list(os.environ):
        if name.startswith("PLAINT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faults(text: str | None = None, **environment: str) -> list[str]:
    """What is wrong with this file and environment."""
    with pytest.raises(SettingsInvalid) as raised:
        load(text, **environment)
    return [str(fault) for fault in raised.value.faults]


def load(text: str | None = None, **environment: str) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        if text is None:
            return load_settings(None)
        Path("own.yaml").write_text(text)
        return load_settings(Path("own.yaml"))


def test_nothing_set_is_the_defaults() -> None:
    settings = load()
    assert settings.kafka.brokers == ()
    assert settings.destinations == {}


def test_the_file_in_the_working_directory_is_read_unless_another_is_named(folder: Path) -> None:
    (folder / "plaint.yaml").write_text("kafka: {partitions: 3}")
    assert load().kafka.partitions == 3
    assert load("kafka: {partitions: 5}").kafka.partitions == 5
    assert load("# nothing").kafka.partitions == 4


def test_the_environment_wins_key_by_key() -> None:
    text = "kafka: {brokers: ['a:1'], partitions: 3}\nclassify: {batch: 7}"
    settings = load(text, PLAINT_KAFKA__BROKERS='["b:2"]', PLAINT_CLASSIFY='{"threads": 2}')
    assert settings.kafka.brokers == ("b:2",)
    assert settings.kafka.partitions == 3
    assert (settings.classify.batch, settings.classify.threads) == (7, 2)


def test_a_secret_may_come_from_the_environment_alone() -> None:
    text = "destinations: {helpdesk: {url: 'https://desk.example'}}"
    settings = load(text, PLAINT_DESTINATIONS__HELPDESK__SECRET=SECRET)
    assert settings.destinations["helpdesk"].signing_keys() == (b"nobody may ever see this secret",)


def test_a_secret_may_come_from_a_file(folder: Path) -> None:
    (folder / "secret").write_text(f"{SECRET}\n{SECRET}\n")
    settings = load("destinations: {helpdesk: {url: 'https://desk.example', secret_file: secret}}")
    assert len(settings.destinations["helpdesk"].signing_keys()) == 2


def test_every_fault_of_file_and_environment_is_listed_at_once_with_its_line() -> None:
    text = "kafka:\n  brokers: kafka:9092\n  partitons: 4\nclasify: {}\nbroker:\n  heap: much\n"
    assert faults(text, PLAINT_INBX="{}", PLAINT_CLASSIFY__BATCH="0", PLAINT_ROUTE__ROTES="x") == [
        'PLAINT_INBX: is no setting; did you mean "PLAINT_INBOX"?',
        "classify.batch: should be greater than or equal to 1; it takes: Most posts in one batch: more is faster a post, "
        "but each waits longer.",
        'route.rotes: is no setting; did you mean "routes"?',
        "own.yaml:2: kafka.brokers: should be a valid tuple; it takes: Bootstrap servers, host:port. Empty: "
        "`plaint up` starts an embedded broker, the tools look for a running `plaint up`, and `plaint run` refuses to start.",
        'own.yaml:3: kafka.partitons: is no setting; did you mean "partitions"?',
        'own.yaml:4: clasify: is no setting; did you mean "classify"?',
        "own.yaml:6: broker.heap: String should match pattern '^[1-9]\\d{0,5}[mg]$'; it takes: Java heap of the local "
        "Kafka: 512m, 2g.",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- kafka", "own.yaml: is no map of settings"),
        ("kafka: [", "own.yaml:1:9: "),
        ("1: 2", "own.yaml: is no map of settings"),
        ("kafka: {partitions: 1, partitions: 2}", 'the key "partitions" stands twice'),
        ("destinations: {Help Desk: {url: 'https://a.example', secret_file: x}}", "destinations.Help Desk: "),
        ("destinations: {a: {url: 'https://a.example'}}", "one of secret and secret_file is needed"),
        ("sources: ['kafka:x']", "sources.0: 'kafka:x' names no source"),
        ("kafka: {security_protocol: SASL_SSL}", "sasl_username and sasl_password (or sasl_password_file) are needed"),
        ("inbox: {secret: x}", "inbox.secret: must be whsec_"),
    ],
)
def test_a_fault_is_named(text: str, told: str) -> None:
    [fault] = faults(text)
    assert told in fault


def test_a_file_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(SettingsInvalid, match=r"none.yaml: can't be read: No such file"):
        load_settings(Path("none.yaml"))


def test_a_variable_that_is_no_json_is_named_without_its_value() -> None:
    [fault] = faults(PLAINT_DESTINATIONS=f'{{"a": "{SECRET}"')
    assert fault.startswith("PLAINT_DESTINATIONS: ")
    assert HIDDEN not in fault


def test_no_secret_is_in_faults_or_in_what_settings_look_like() -> None:
    hooks = {
        "a": {**HOOK, "url": f"https://desk.example/{SECRET}"},
        "b": {**HOOK, "secret": SECRET[:-9]},
        "c": {**HOOK, "url": f"ftp://{SECRET}"},
        "d": {**HOOK, "secret_file": SECRET},
        "e": {**HOOK, "timeout_s": SECRET},
    }
    kafka = {"sasl_password": PASSWORD, "security_protocol": "SASL_SSL"}
    told = "\n".join(faults(json.dumps({"destinations": hooks, "kafka": kafka, "inbox": {"secret": SECRET[:-9]}})))
    assert len(told.splitlines()) == 6
    assert HIDDEN not in told
    assert PASSWORD not in told
    sound = {"destinations": {"a": hooks["a"]}, "kafka": {**kafka, "sasl_username": "u"}, "inbox": {"secret": SECRET}}
    settings = load(json.dumps(sound))
    for shown in (repr(settings), str(settings), settings.model_dump_json(exclude={"destinations": {"a": {"url"}}})):
        assert HIDDEN not in shown
        assert PASSWORD not in shown


def test_the_password_for_kafka_can_be_a_mounted_secret_and_is_read_anew_for_each_connection(folder: Path) -> None:
    kafka = {"sasl_username": "u", "security_protocol": "SASL_PLAINTEXT", "sasl_password_file": "mounted"}
    for content, told in ((None, "can't be read: No such file"), ("\n", "is empty"), ("\xff", "it is no UTF-8")):
        if content is not None:
            (folder / "mounted").write_text(content, encoding="latin-1")
        [fault] = faults(json.dumps({"kafka": kafka}))
        assert "sasl_password_file mounted" in fault
        assert told in fault
    (folder / "mounted").write_text(f"{PASSWORD}\n")
    settings = load(json.dumps({"kafka": kafka})).kafka
    assert settings.connection()["sasl_plain_password"] == PASSWORD
    assert PASSWORD not in masked(f"refused: {PASSWORD}")
    assert PASSWORD not in settings.model_dump_json()
    (folder / "mounted").write_text("rotated")
    assert settings.connection()["sasl_plain_password"] == "rotated"
    [fault] = faults(json.dumps({"kafka": {**kafka, "sasl_password": PASSWORD}}))
    assert "one of sasl_password and sasl_password_file" in fault
    assert PASSWORD not in fault


def test_what_a_child_is_started_with_is_the_same_settings(folder: Path) -> None:
    whole = {
        "destinations": {"a": HOOK, "b": {"url": "https://b.example", "secret_file": "x"}},
        "kafka": {"sasl_password": PASSWORD, "sasl_username": "u", "security_protocol": "SASL_SSL"},
        "sources": ["file:posts.csv,columns.id=a,columns.text=b"],
        "route": {"routes": "own.yaml"},
        "inbox": {"secret": SECRET, "faults": {"rules": [{"do": "hang"}]}},
    }
    settings = load(json.dumps(whole))
    (folder / "own.yaml").unlink()
    assert load(**settings.environment()) == settings
