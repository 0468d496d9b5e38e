"""Settings from the file and the environment: who wins, what is refused, and that no secret is shown on the way."""

import json
import os
from collections.abc import Callable
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
        "PLAINT_CLASSIFY__BATCH: should be greater than or equal to 1; it takes: Most posts in one batch: more is faster a "
        "post, but each waits longer.",
        'PLAINT_ROUTE__ROTES: is no setting; did you mean "PLAINT_ROUTE__ROUTES"?',
        "own.yaml:2: kafka.brokers: is no list; write it in brackets, [one, another]; it takes: Bootstrap servers, host:port. "
        "Empty: `plaint up` starts an embedded broker, the tools look for a running `plaint up`, and `plaint run` refuses to "
        "start.",
        'own.yaml:3: kafka.partitons: is no setting; did you mean "partitions"?',
        'own.yaml:4: clasify: is no setting; did you mean "classify"?',
        "own.yaml:6: broker.heap: is not written as it must be; it takes: Java heap of the local Kafka: 512m, 2g.",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- kafka", "own.yaml: is no map of settings"),
        ("kafka: [", "own.yaml:1:9: "),
        ("1: 2", "own.yaml:1: 1: the key is 1 to YAML, and no text; put the key in quotes"),
        ("destinations: {no: {url: 5}}", "own.yaml:1: destinations.no: the key is false to YAML, and no text"),
        ("kafka: {partitions: yes}", "own.yaml:1: kafka.partitions: is true, and no number; write a number"),
        ("door: {port: no}", "own.yaml:1: door.port: is false, and no number"),
        ("kafka: {session_timeout_s: yes}", "own.yaml:1: kafka.session_timeout_s: is true, and no number"),
        ("classify: {threads: off}", "own.yaml:1: classify.threads: is false, and no number"),
        ('kafka: {sasl_username: "\\ud800"}', "own.yaml:1:24: holds half a character"),
        ("kafka: {sasl_username: no}", "is no text; put it in quotes: YAML reads no, yes, on and off as true or false"),
        ("kafka: {sasl_password: 12345}", "kafka.sasl_password: is no text; put it in quotes"),
        ("kafka: {session_timeout_s: 30s}", "kafka.session_timeout_s: is no number; it takes: A worker silent"),
        ("kafka: {idempotent_producer: maybe}", "kafka.idempotent_producer: is neither true nor false"),
        (
            "kafka: {brokers: {kafka: 9092}}",
            "kafka.brokers: is no list; write it in brackets, [one, another]; it takes:",
        ),
        (
            "kafka: {brokers: [kafka]}",
            "kafka.brokers.0: is not written as it must be; it takes: Bootstrap servers, host:port",
        ),
        ("kafka: {brokers: ['kafka:99999']}", "kafka.brokers.0: must end with a port, 1 to 65535; it takes: Bootstrap"),
        ("kafka: 9092", "own.yaml:1: kafka: is no map; give it keys, each with a value: brokers, partitions, "),
        (
            f"destinations: {{a: {{url: 'https://a.example', secret: {SECRET}, allow_private: 10.0.0.0/8}}}}",
            "own.yaml:1: destinations.a.allow_private: is neither true nor false and is no list; write it in brackets",
        ),
        (
            f"destinations: {{a: {{url: 'https://a.example', secret: {SECRET}, allow_private: [5]}}}}",
            "own.yaml:1: destinations.a.allow_private.0: is no text; put it in quotes",
        ),
        ("inbox: {faults: {rules: [{do: hang, x: 1}]}}", "own.yaml:1: inbox.faults.rules.0.x: is no setting"),
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


def test_a_section_without_keys_is_as_good_as_none() -> None:
    assert load("kafka:\nroute:\n", PLAINT_ROUTE__REMEMBER="7").route.remember == 7


def test_what_a_variable_says_is_told_by_its_name_and_all_of_it_beside_what_the_file_says() -> None:
    text = "classify: {batch: 7}\nkafka: {partitons: 3}\ndestinations: {a: {}}"
    found = faults(
        text,
        PLAINT_CLASSIFY__BATCH="0",
        PLAINT_KAFKA__BROKERS="kafka:9092",
        PLAINT_ROUTE="routes.yaml",
        PLAINT_INBOX='{"keep": 0, "queues": ["helpdesk", "Help"]}',
        PLAINT_DOOR='{"port": 1',
        PLAINT_BROKER='{"heap": "1g", "heap": "2g"}',
        PLAINT_DESTINATIONS__B__SECRET=SECRET,
        plaint_monitoring__port="1",
    )
    assert sorted(fault.partition(";")[0] for fault in found) == [
        'PLAINT_BROKER: the key "heap" stands twice',
        "PLAINT_CLASSIFY__BATCH: should be greater than or equal to 1",
        "PLAINT_DESTINATIONS__B__URL: is missing",
        "PLAINT_DOOR: is no JSON at character 11",
        "PLAINT_INBOX: keep: should be greater than or equal to 1",
        "PLAINT_INBOX: queues.1: is not written as it must be",
        "PLAINT_KAFKA__BROKERS: is no list",
        "PLAINT_ROUTE: is no map",
        "own.yaml:2: kafka.partitons: is no setting",
        "own.yaml:3: destinations.a.url: is missing",
        "plaint_monitoring__port: is no setting",
    ]


def test_what_is_no_map_is_not_silently_replaced_by_a_variable_that_sets_a_key_in_it() -> None:
    [fault] = faults("kafka: kafka:9092", PLAINT_KAFKA__PARTITIONS="3")
    assert fault.startswith("own.yaml:1: kafka: is no map, and PLAINT_KAFKA__PARTITIONS sets a key in it; write a map")
    [fault] = faults(PLAINT_CLASSIFY__MODEL="multi-1", PLAINT_CLASSIFY__MODEL__REVISION="x")
    assert fault.startswith("PLAINT_CLASSIFY__MODEL__REVISION: sets a key in what PLAINT_CLASSIFY__MODEL gives")


def test_of_two_variables_the_nearer_one_wins_and_what_holds_text_or_a_list_is_read_as_it_looks() -> None:
    settings = load(
        PLAINT_KAFKA='{"partitions": 3, "brokers": ["a:1"]}',
        PLAINT_KAFKA__PARTITIONS="5",
        PLAINT_KAFKA__SASL_USERNAME='["u"]',
        PLAINT_CLASSIFY__MODEL="2",
        PLAINT_DESTINATIONS='{"a": {"url": "https://a.example", "allow_private": true}}',
        PLAINT_DESTINATIONS__A__SECRET=SECRET,
        PLAINT_DESTINATIONS__A__ALLOW_PRIVATE='["10.0.0.0/8"]',
    )
    assert (settings.kafka.partitions, settings.kafka.brokers, settings.kafka.sasl_username) == (5, ("a:1",), '["u"]')
    assert settings.classify.model is not None
    assert settings.classify.model.name == "2"
    assert settings.destinations["a"].allow_private == ("10.0.0.0/8",)


def test_a_nearer_variable_keeps_what_a_farther_one_says_beside_it() -> None:
    settings = load(
        PLAINT_DESTINATIONS=json.dumps({"a": {"url": "https://a.example", "secret": SECRET, "max_per_minute": 60}}),
        PLAINT_DESTINATIONS__A='{"url": "https://b.example", "timeout_s": 5}',
    )
    found = settings.destinations["a"]
    assert (found.url, found.max_per_minute, found.timeout_s) == ("https://b.example", 60, 5)


def test_what_kubernetes_gives_for_a_service_is_told_as_that() -> None:
    given = {
        "PLAINT_SERVICE_HOST": "10.0.0.1",
        "PLAINT_SERVICE_PORT_HTTP": "8320",
        "PLAINT_PORT": "tcp://10.0.0.1:8320",
        "PLAINT_PORT_8320_TCP_ADDR": "10.0.0.1",
        "PLAINT_INBOX_SERVICE_PORT": "8321",
        "PLAINT_INBOX_PORT": "udp://10.0.0.1:8321",
    }
    told = faults(**given)
    assert len(told) == len(given)
    assert all("Kubernetes gives it for a Service: set enableServiceLinks: false" in fault for fault in told)
    [fault] = faults(PLAINT_INBOX_PORT="8321")
    assert fault == 'PLAINT_INBOX_PORT: is no setting; did you mean "PLAINT_INBOX"?'


def test_a_variable_that_is_no_text_is_a_fault() -> None:
    [fault] = faults(PLAINT_SOURCES='["\\ud800"]')
    assert fault.startswith("PLAINT_SOURCES: holds half a character ")
    [fault] = faults(PLAINT_ROUTE__ROUTES="\udcff.yaml")
    assert fault.startswith("PLAINT_ROUTE__ROUTES: is no UTF-8; ")


@pytest.mark.parametrize("make", [lambda file: file.symlink_to("gone.yaml"), Path.mkdir])
def test_what_stands_in_place_of_the_usual_file_is_not_passed_over(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "plaint.yaml")
    [fault] = faults()
    assert fault.startswith(f"{folder}/plaint.yaml: can't be read: ")


def test_all_that_does_not_go_together_in_a_section_is_told_at_once() -> None:
    desk = {"url": "http://desk.example", "first_wait_s": 9, "max_wait_s": 5, "proxy_login": "me:word"}
    kafka = {"session_timeout_s": 5, "security_protocol": "SASL_SSL", "sasl_password_file": "none"}
    in_kafka, in_desk = faults(json.dumps({"kafka": kafka, "destinations": {"desk": desk}}, indent=1))
    for told in ("heartbeat_s must be", "sasl_username and", "sasl_password_file none can't be read: No such file"):
        assert told in in_kafka
    for told in ("one of secret and", "first_wait_s must not", "url must be https", "proxy_login needs proxy"):
        assert told in in_desk


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
