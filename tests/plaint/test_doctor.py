"""The doctor's checks: how far one gets with a broker or a destination, each step told apart, none of them for ever."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest

from classify.settings import ClassifySettings
from plaint.diagnosis import brokers, clock, destinations, machine, model, topics_check
from plaint.diagnosis.check import Check, Running, Task, checked
from plaint.diagnosis.destinations import Date
from plaint.diagnosis.doctor import Patient, examine
from plaint.diagnosis.topics_check import Visit
from plaint.inbox.signature import verify
from plaint.kafka.groups import GroupState
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import TopicState
from plaint.kafka.topics import ensure_topics
from plaint.settings import Settings
from route.destinations.settings import DestinationSettings
from schemas.topics import all_topics
from schemas.webhook_secret import signing_key
from tests.support.https import self_signed, serving
from tests.support.proxy import Proxy, proxying

SECRET = "whsec_dGhlIGRvY3RvciBzaWducyBoaXMgdGVzdHMgdG9v"
LOGIN = "plaint:hunter2"
PASSWORD_64 = "cGxhaW50Omh1bnRlcjI="
TINY = sorted((Path(__file__).parents[1] / "models").glob("tiny-*"))


def told(check: Check) -> str:
    return "\n".join(f"{one.severity} {one.place}: {one.what} → {one.mend}" for one in check.findings)


# -- how checks are run ------------------------------------------------------------------------------------------------


def test_a_check_that_hangs_is_given_up_in_its_time() -> None:
    forever = threading.Event()

    def hang() -> Check:
        forever.wait()
        return checked("slow", "")

    began = time.monotonic()
    found = Running(Task("slow", hang, 0.2, "look at it")).result()
    forever.set()
    assert time.monotonic() - began < 30
    assert told(found) == "fail slow: took longer than 0.2 s → look at it"


def test_a_check_that_fails_itself_is_a_finding() -> None:
    def broken() -> Check:
        raise OSError("no")

    assert "can't be looked at: OSError: no" in told(Running(Task("odd", broken, 5, "look")).result())


# -- brokers -----------------------------------------------------------------------------------------------------------


def kafka(address: str, **other: object) -> KafkaSettings:
    return KafkaSettings.model_validate({"brokers": (address,), **other})


@pytest.fixture
def silent() -> Iterator[str]:
    """Something that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_name_that_stands_for_nothing_is_told() -> None:
    said = told(brokers.check(kafka("nowhere.invalid:9092")))
    assert "the name nowhere.invalid can't be resolved" in said
    assert "correct the name in kafka.brokers" in said


def test_a_port_that_nobody_listens_on_is_told() -> None:
    said = told(brokers.check(kafka("127.0.0.1:1")))
    assert "127.0.0.1:1 takes no connection" in said
    assert "look whether the broker runs" in said


def test_a_broker_that_is_gone_while_others_do_its_work_is_a_warning_and_the_rest_is_looked_at(tansu: str) -> None:
    found = brokers.check(KafkaSettings(brokers=("127.0.0.1:1", tansu)))
    assert (found.state, [one.place for one in found.findings]) == ("warn", ["127.0.0.1:1"])
    settings = Settings.model_validate({"kafka": {"brokers": ["127.0.0.1:1", tansu]}})
    seen = {check.name: check.state for check in examine(Patient(settings, settings.kafka, [], only=("topics",)))}
    assert seen["topics"] != "skipped"


def test_authorities_that_cannot_be_read_are_told_by_the_setting(tmp_path: Path) -> None:
    [finding] = brokers.check(kafka("127.0.0.1:1", security_protocol="SSL", ssl_cafile=str(tmp_path / "gone"))).findings
    assert (finding.place, finding.what) == (
        "kafka.ssl_cafile",
        f"{tmp_path}/gone can't be read: No such file or directory",
    )


def test_what_speaks_no_kafka_is_told(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "KAFKA_S", 0.5)
    said = told(brokers.check(kafka(silent)))
    assert "the port is open, but no Kafka answers" in said
    assert "kafka.security_protocol may be wrong" in said


def test_what_speaks_no_tls_is_told(tansu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaint.diagnosis.sockets.TLS_S", 0.5)
    said = told(brokers.check(kafka(tansu, security_protocol="SSL")))
    assert "TLS" in said
    assert "set kafka.security_protocol" in said


def test_a_broker_that_answers_is_well(broker: str) -> None:
    found = brokers.check(kafka(broker))
    assert (found.state, found.looked) == ("ok", f"{broker} (PLAINTEXT); cluster of 1")


# -- topics, rights, groups, disks -------------------------------------------------------------------------------------


@pytest.mark.kafka
def test_a_sound_kafka_has_all_rights_and_its_disks_are_seen(kafka: str, fresh: str) -> None:
    settings = KafkaSettings(brokers=(kafka,))
    ensure_topics(settings, [fresh])
    seen = topics_check.visit(settings, [fresh])
    found = topics_check.check_topics(seen)
    assert found.state == "ok", told(found)
    assert topics_check.check_rights(seen, [fresh], settings, ()).state == "ok"
    assert topics_check.check_groups(seen).state == "ok"
    assert "log directories, least free" in topics_check.check_disks(seen).looked


def test_the_embedded_broker_tells_no_rights_and_that_is_said(tansu: str, fresh: str) -> None:
    settings = KafkaSettings(brokers=(tansu,))
    seen = topics_check.visit(settings, [fresh])
    assert "is missing" in told(topics_check.check_topics(seen))
    for check in (topics_check.check_groups(seen), topics_check.check_disks(seen)):
        assert check.state == "skipped"


def visit(**fields: object) -> Visit:
    states = [
        TopicState(name=topic.name, found="there", partitions=4, replicas=1, config=topic.config, operations=ALL)
        for topic in all_topics(["helpdesk"])
    ]
    names = ("plaint-classify", "plaint-route", "plaint-deliver-helpdesk")
    groups = {name: GroupState(name=name, operations=frozenset({"Read", "Describe"})) for name in names}
    sound = {"states": states, "groups": groups, "cluster": ALL, "brokers": 1, "offsets_kept_s": 1e9, "disks": None}
    return Visit(**{**sound, **fields})  # type: ignore[arg-type]


ALL = frozenset({"Read", "Write", "Describe", "DescribeConfigs"})


def rights(seen: Visit, *only: str) -> str:
    return told(topics_check.check_rights(seen, ["helpdesk"], kafka("kafka:9092", sasl_username="ann"), only))


def test_each_lack_is_told_with_whom_it_hits_and_the_command() -> None:
    states = [one.model_copy(update={"operations": ALL - {"Write"}}) for one in visit().states]
    said = rights(visit(states=states), "classify", "route")
    assert "fail plaint.triaged: User:ann lacks Write on plaint.triaged, for classify" in said
    assert "fail plaint.deadletters: User:ann lacks Write on plaint.deadletters, for classify, route" in said
    command = "--bootstrap-server kafka:9092 --add --allow-principal User:ann --topic plaint.triaged --operation Write"
    assert command in said


def test_what_may_not_be_seen_lacks_everything_and_a_group_too() -> None:
    hidden = [TopicState(name=one.name, found="hidden") for one in visit().states]
    refused = {name: GroupState(name=name, refused="GroupAuthorizationFailedError") for name in visit().groups}
    said = rights(visit(states=hidden, groups=refused), "classify")
    assert "lacks Read and Describe and DescribeConfigs on plaint.posts" in said
    assert "lacks Read and Describe on plaint-classify" in said
    assert "--group plaint-classify --operation Read --operation Describe" in said


def test_a_right_that_one_can_do_without_is_a_warning() -> None:
    said = rights(visit(cluster=frozenset({"Describe"})), "tools-look")
    assert said.startswith(
        "warn the cluster: User:ann lacks DescribeConfigs on the cluster, for tools-look: without it"
    )


def test_offsets_that_expire_before_the_records_are_told() -> None:
    said = told(topics_check.check_groups(visit(offsets_kept_s=7 * 86_400.0)))
    assert "away for 7 days are forgotten, but plaint.tickets.helpdesk keeps records for 14 days" in said
    assert "set offsets.retention.minutes=20160" in said


@pytest.mark.parametrize(
    ("usable", "code", "state", "words"),
    [(500, 0, "ok", ""), (50, 0, "warn", "5.0%"), (5, 0, "fail", "0.5%"), (500, 56, "fail", "KafkaStorageError")],
)
def test_a_brokers_disk(usable: int, code: int, state: str, words: str) -> None:
    part = {"partition_size": 3_000_000}
    disk = {"broker": 3, "log_dir": "/data", "error_code": code, "total_bytes": 1000, "usable_bytes": usable}
    found = topics_check.check_disks(
        visit(disks=[{**disk, "topics": [{"name": "plaint.posts", "partitions": [part]}]}])
    )
    assert found.state == state
    assert words in told(found)
    assert state in ("ok",) or code or "plaint.posts, 3 MB" in told(found)


def test_a_topic_without_a_leader_or_with_one_replica_of_many_brokers_is_told() -> None:
    first, *others = visit().states
    said = told(
        topics_check.check_topics(visit(states=[first.model_copy(update={"leaderless": (2,)}), *others], brokers=3))
    )
    assert "fail plaint.posts: nobody leads partition 2" in said
    assert "warn plaint.triaged: has one replica on 3 brokers" in said


@pytest.mark.parametrize(("largest", "state"), [("1048588", "ok"), ("1000000", "ok"), ("500000", "fail")])
def test_a_topic_that_takes_no_whole_batch_is_told(largest: str, state: str) -> None:
    first, *others = visit().states
    config = {**first.config, "max.message.bytes": largest}
    found = topics_check.check_topics(visit(states=[first.model_copy(update={"config": config}), *others]))
    assert found.state == state
    if state == "fail":
        assert "plaint.posts: max.message.bytes is 500000" in told(found)
        assert "--topic plaint.posts --add-config max.message.bytes=1048588" in told(found)


@pytest.mark.parametrize(
    ("brokers", "replicas", "in_sync", "what", "mend"),
    [
        (
            3,
            3,
            3,
            "is 3 with 3 replicas: while one broker that has it restarts, nobody can write",
            "→ kafka-configs.sh",
        ),
        (4, 3, 3, "nobody can write", "→ kafka-reassign-partitions.sh adds a replica; or kafka-configs.sh"),
        (3, 2, 2, "nobody can write", "→ kafka-reassign-partitions.sh adds a replica; or kafka-configs.sh"),
        (2, 2, 2, "nobody can write", "--add-config min.insync.replicas=1"),
        (3, 2, 3, "nobody can write", "--add-config min.insync.replicas=1"),
        (3, 3, 1, "is 1 with 3 replicas: a record that only one broker has is acknowledged", "min.insync.replicas=2"),
        (3, 1, 1, "has one replica on 3 brokers", "default.replication.factor"),
    ],
)
def test_replicas_that_stop_or_lose_records_with_one_broker_are_told_with_the_mend(
    brokers: int, replicas: int, in_sync: int, what: str, mend: str
) -> None:
    [finding] = told(topics_check.check_topics(replicated(brokers, replicas, in_sync))).splitlines()
    assert finding.startswith("warn plaint.posts: ")
    assert what in finding
    assert mend in finding


@pytest.mark.parametrize(
    ("brokers", "replicas", "in_sync"), [(3, 3, 2), (5, 5, 3), (2, 2, 1), (1, 1, 1), (1, 1, 2), (3, 3, None)]
)
def test_replicas_that_bear_the_loss_of_a_broker_and_those_of_a_single_broker_are_well(
    brokers: int, replicas: int, in_sync: int | None
) -> None:
    assert topics_check.check_topics(replicated(brokers, replicas, in_sync)).state == "ok"


def replicated(brokers: int, replicas: int, in_sync: int | None) -> Visit:
    """A visit that saw ``plaint.posts`` alone."""
    first = visit().states[0]
    config = first.config | ({} if in_sync is None else {"min.insync.replicas": str(in_sync)})
    return visit(states=[first.model_copy(update={"replicas": replicas, "config": config})], brokers=brokers)


# -- destinations ------------------------------------------------------------------------------------------------------


class _Desk(BaseHTTPRequestHandler):
    """Answers ``status`` to a POST, its path with it as PHP writes it in JSON, and keeps what came."""

    status = 204
    came: ClassVar[list[tuple[Mapping[str, str], bytes]]] = []

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.came.append((dict(self.headers), self.rfile.read(length)))
        self.send_response(self.status)
        self.end_headers()
        if self.status != 204:
            self.wfile.write(b'{"path": "%s"}' % self.path.replace("/", "\\/").encode())

    def log_message(self, *said: object) -> None:
        """Say nothing."""


@pytest.fixture
def desk() -> Iterator[ThreadingHTTPServer]:
    handler = type("Desk", (_Desk,), {"came": []})
    with serving(handler) as server:
        yield server


def examined(url: str, send_test: bool = False, **settings: object) -> tuple[Check, list[Date]]:
    dates: list[Date] = []
    made = DestinationSettings.model_validate({"url": url, "secret": SECRET, **settings})
    return destinations.check("desk", made, KafkaSettings(), dates, send_test), dates


def test_a_destination_that_answers_is_well_and_tells_the_time(desk: ThreadingHTTPServer) -> None:
    found, [date] = examined(f"http://127.0.0.1:{desk.server_port}/hooks?token=hidden")
    assert (found.state, found.looked) == ("ok", f"http://127.0.0.1:{desk.server_port}")
    assert abs(date.ahead_s) < 30
    assert desk.RequestHandlerClass.came == []  # type: ignore[attr-defined]


def test_a_test_event_is_signed_as_a_ticket_would_be(desk: ThreadingHTTPServer) -> None:
    found, _ = examined(f"http://127.0.0.1:{desk.server_port}/hooks", send_test=True)
    assert found.state == "ok"
    [(headers, body)] = desk.RequestHandlerClass.came  # type: ignore[attr-defined]
    assert verify(signing_key(SECRET), headers, body, time.time()).startswith("test-")
    assert orjson.loads(body)["type"] == "plaint.test"


@pytest.mark.parametrize(
    ("status", "state", "mend"), [(401, "fail", "secret_file"), (410, "fail", "desk.url"), (422, "warn", "plaint.test")]
)
def test_the_answer_to_a_test_event_has_its_mend(desk: ThreadingHTTPServer, status: int, state: str, mend: str) -> None:
    desk.RequestHandlerClass.status = status  # type: ignore[attr-defined]
    found, _ = examined(f"http://127.0.0.1:{desk.server_port}/hooks", send_test=True)
    assert found.state == state
    assert f"answered {status}" in told(found)
    assert mend in told(found)


@pytest.mark.parametrize("status", [404, 422])
def test_an_answer_that_quotes_the_address_is_told_without_its_token(desk: ThreadingHTTPServer, status: int) -> None:
    desk.RequestHandlerClass.status = status  # type: ignore[attr-defined]
    found, _ = examined(f"http://127.0.0.1:{desk.server_port}/hooks/T0K3N-in-path?auth=S3CR3T-in-query", send_test=True)
    assert f'answered {status} {{"path": "…"}}' in told(found)


@pytest.mark.parametrize(
    ("url", "settings", "words"),
    [
        ("https://nowhere.invalid/hook", {}, "nowhere.invalid can't be resolved"),
        ("http://127.0.0.1:1/hook", {}, "takes no connection"),
        (
            "http://127.0.0.1:1/hook",
            {"secret": None, "secret_file": "/nowhere/secret"},
            "secret_file: /nowhere/secret can't be read",
        ),
    ],
)
def test_each_step_to_a_destination_is_told_apart(url: str, settings: dict[str, Any], words: str) -> None:
    found, _ = examined(url, **settings)
    assert found.state == "fail"
    assert words in told(found)
    assert "hook" not in told(found)


def test_a_name_for_a_private_address_is_refused_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "addresses", lambda host, port: ["10.0.0.7"])
    monkeypatch.setattr("plaint.diagnosis.sockets.TCP_S", 0.2)
    said = told(examined("https://desk.example/hook")[0])
    assert "desk.example stands for 10.0.0.7, of a private network" in said
    assert "allow_private" in said
    assert "private network" not in told(examined("https://desk.example/hook", allow_private=True)[0])


@pytest.fixture
def tls_desk(tmp_path: Path) -> Iterator[int]:
    """The port of a receiver with a certificate that nobody signed."""
    self_signed(tmp_path, "desk.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with serving(_Desk, context) as server:
        yield server.server_port


def test_a_certificate_that_nobody_vouches_for_is_told_and_one_that_ends_soon(tls_desk: int, tmp_path: Path) -> None:
    said = told(examined(f"https://127.0.0.1:{tls_desk}/hook")[0])
    assert "its certificate is not accepted: self-signed certificate" in said
    assert "a private authority goes into destinations.desk.ca_file" in said
    found, _ = examined(f"https://127.0.0.1:{tls_desk}/hook", ca_file=str(tmp_path / "cert"))
    assert found.state == "warn"
    assert "its certificate is valid for 1 more days" in told(found)


def test_a_file_of_authorities_that_holds_none_is_told(tls_desk: int, tmp_path: Path) -> None:
    for file, what in (
        (tmp_path / "key", "holds no certificates in PEM"),
        (tmp_path / "none", "can't be read: No such file"),
    ):
        found, _ = examined(f"https://127.0.0.1:{tls_desk}/hook", ca_file=str(file))
        assert found.state == "fail"
        assert "destinations.desk.ca_file" in told(found)
        assert what in told(found)


def test_a_destination_that_speaks_no_tls_is_told(desk: ThreadingHTTPServer) -> None:
    said = told(examined(f"https://127.0.0.1:{desk.server_port}/hook")[0])
    assert "it speaks no TLS" in said
    assert "should begin with http:" in said


def test_a_destination_is_tried_through_its_proxy_which_knows_the_name(tls_desk: int, tmp_path: Path) -> None:
    mine = {"ca_file": str(tmp_path / "cert"), "proxy_login": LOGIN}
    with proxying(Proxy({"desk.example": tls_desk}, LOGIN)) as proxy:
        found, dates = examined("https://desk.example/T0K3N", send_test=True, proxy=proxy.address, **mine)
        unknown, _ = examined("https://desk.example/T0K3N", proxy=proxy.address, proxy_login=LOGIN)
    assert found.looked == f"https://desk.example:443 through {proxy.address}, a signed test sent"
    assert (found.state, [date.host for date in dates]) == ("warn", ["desk.example:443"])
    assert "its certificate is valid for 1 more days" in told(found)
    assert "fail destinations.desk.url: its certificate is not accepted" in told(unknown)
    assert proxy.reached() == ["CONNECT desk.example:443"] * 3


def test_a_destination_without_tls_is_tried_through_its_proxy(desk: ThreadingHTTPServer) -> None:
    mine = {"allow_private": True, "proxy_login": LOGIN}
    with proxying(Proxy({"desk.example": desk.server_port}, LOGIN)) as proxy:
        found, _ = examined("http://desk.example:81/hooks", send_test=True, proxy=proxy.address, **mine)
    assert found.state == "ok"
    assert proxy.reached() == ["HEAD http://desk.example:81/", "POST http://desk.example:81/hooks"]
    [(headers, body)] = desk.RequestHandlerClass.came  # type: ignore[attr-defined]
    assert verify(signing_key(SECRET), headers, body, time.time()).startswith("test-")


@pytest.mark.parametrize("content", [None, "hunter2"])
def test_a_login_of_the_proxy_that_cannot_be_read_is_told(
    desk: ThreadingHTTPServer, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "login"
    if content is not None:
        file.write_text(content)
    mine: dict[str, Any] = {"allow_private": True, "proxy_login_file": str(file)}
    with proxying(Proxy({"desk.example": desk.server_port}, LOGIN)) as proxy:
        found, _ = examined("http://desk.example:81/hooks", proxy=proxy.address, **mine)
    assert "fail destinations.desk.proxy_login_file: " in told(found)
    assert "user:password in its first line" in told(found)
    assert "hunter2" not in told(found)


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize(
    ("proxy", "severity", "words"),
    [
        (Proxy({"desk.example": 1}, "plaint:other"), "fail", "answered 407 → set destinations.desk.proxy_login"),
        (
            Proxy({"desk.example": 1}, refused=("desk.example",)),
            "fail warn",
            "to let the host in destinations.desk.url",
        ),
        (Proxy(), "fail warn", "the proxy can't reach the receiver"),
        (Proxy(says=405), "fail ok", "that takes CONNECT"),
    ],
)
def test_what_a_proxy_refuses_is_told_with_its_mend(scheme: str, proxy: Proxy, severity: str, words: str) -> None:
    """What it passes on in the clear may be the receiver's answer as well, so that is a warning; 405 is fine there."""
    state = severity.split()[-1 if scheme == "http" else 0]
    with proxying(proxy):
        found, _ = examined(
            f"{scheme}://desk.example/T0K3N", proxy=proxy.address, proxy_login=LOGIN, allow_private=True
        )
    assert found.state == state
    if state != "ok":
        assert words in told(found)
        assert told(found).startswith(f"{state} destinations.desk.proxy: the proxy answered ")
    assert not any(secret in f"{told(found)} {found.looked}" for secret in ("T0K3N", "hunter2", PASSWORD_64))


def test_a_proxy_that_is_away_or_is_none_is_told(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaint.diagnosis.sockets.PROXY_S", 0.2)
    for place, what, mend in (
        ("127.0.0.1:1", "no connection to the proxy: 127.0.0.1:1 takes no connection", "whether the proxy runs"),
        (
            "proxy.invalid:3128",
            "no connection to the proxy: the name proxy.invalid can't be resolved",
            "the proxy runs",
        ),
        (silent, "the proxy gives no answer within 0.2 s", "takes CONNECT"),
    ):
        found, _ = examined("https://desk.example/hook", proxy=f"http://{place}")
        assert f"fail destinations.desk.proxy: {what}" in told(found)
        assert mend in told(found)


# -- clock, model, machine ---------------------------------------------------------------------------------------------


def test_a_clock_is_judged_by_what_most_say() -> None:
    right, wrong = Date("a:443", 0.4), Date("b:443", -3600.0)
    assert clock.check([right], None, 0.0).state == "ok"
    assert "fail clock: this machine's clock is 60 min behind that of b:443" in told(clock.check([wrong], None, 0.0))
    both = clock.check([right, Date("c:443", 1.0), wrong], None, 0.0)
    assert both.state == "warn"
    assert "the clock of b:443 is 60 min ahead of this one" in told(both)


def test_a_record_from_the_future_speaks_against_this_clock() -> None:
    now = 1_700_000_000.0
    said = told(clock.check([], ("plaint.posts", now + 3600), now))
    assert "the newest record of plaint.posts is dated 60 min ahead" in said
    assert clock.check([], ("plaint.posts", now - 3600), now).state == "ok"
    assert clock.check([], None, now).state == "skipped"


@pytest.mark.skipif(not TINY, reason="no small model")
def test_a_model_labels_a_plain_complaint_and_damaged_weights_are_told(tmp_path: Path) -> None:
    sound = model.check(ClassifySettings(model=TINY[0], threads=1))
    assert "a complaint as complaint" in sound.looked, told(sound)
    for file in TINY[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.int8.onnx").write_bytes(b"damaged")
    broken = model.check(ClassifySettings(model=tmp_path, threads=1))
    assert broken.state == "fail"
    assert "classify.model" in told(broken)


def test_a_full_disk_of_this_machine_is_told_where_plaint_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"total": 10**12, "free": 20_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    found = machine.check_disk(Settings.model_validate({"inbox": {"journal": tmp_path / "new" / "inbox.journal"}}))
    assert f"fail inbox.journal: 20 MB are free in {tmp_path}" in told(found)


# -- all of it ---------------------------------------------------------------------------------------------------------


def test_only_the_wanted_checks_are_done_and_what_needs_brokers_is_skipped_without(tansu: str) -> None:
    away = kafka("127.0.0.1:1")
    names = [check.name for check in examine(Patient(Settings(kafka=away), away, (), only=("machine", "topics")))]
    assert names == ["machine", "brokers", "topics"]
    there = kafka(tansu)
    found = list(examine(Patient(Settings(kafka=there), there, (), only=("brokers", "groups"))))
    assert [check.name for check in found] == ["brokers", "groups"]
