"""A Kafka with TLS, passwords, certificates of clients and rights, through every client; and one that hangs."""

import asyncio
import gc
import logging
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import KafkaConnectionError, KafkaTimeoutError, SaslAuthenticationFailedError

from ingest.publish import PostPublisher
from plaint.cli import cli
from plaint.commands import run
from plaint.diagnosis import brokers
from plaint.failures import EXIT_FAILED
from plaint.kafka.admin import BrokerAway, _Reason
from plaint.kafka.certificate import Certificate
from plaint.kafka.joining import JoinRefused, require_reads
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.reading import EARLIEST, TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import TopicsWrong, ensure_topics
from plaint.leftovers import find_strangers
from plaint.settings import Settings
from plaint.workers.delivering.log_bodies import LogBodies, bodies_consumer
from schemas.faults import Unavailable
from schemas.topics import POSTS, deliveries, tickets
from tests.plaint.looking import triage
from tests.support.command import PLAINT, environment
from tests.support.https import self_signed, signed
from tests.support.kafka_process import KafkaProcess, why_no_kafka

DESKS = ["helpdesk", "service", "marketing"]

pytestmark = [pytest.mark.kafka, pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")]


@pytest.fixture(autouse=True)
def forgotten_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """kafka-python forgets the socket of a handshake that failed; captured log records would keep it for later tests."""
    monkeypatch.setattr(logging.getLogger("kafka"), "propagate", False)
    yield
    gc.collect()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``cert``, signed by itself, for 127.0.0.1, and the certificates of clients, each with its key: ``known.pem``,
    whose key is encrypted, and ``new.pem`` of the authority that the brokers trust, ``foreign.pem`` of another one.
    """
    made = tmp_path_factory.mktemp("secure")
    self_signed(made, "127.0.0.1")
    (made / "both.pem").write_text((made / "key").read_text() + (made / "cert").read_text())
    for authority, names in (("office", ("known", "new")), ("elsewhere", ("foreign",))):
        (made / authority).mkdir()
        self_signed(made / authority, authority)
        for name in names:
            signed(made, f"/O=Acme, Inc./emailAddress={name}@acme.example/CN={name} <a>", made / authority, name)
    lock = ["openssl", "pkcs8", "-topk8", "-in", "known.key", "-passout", "pass:s3same", "-out", "locked.key"]
    subprocess.run(lock, check=True, capture_output=True, cwd=made)
    (made / "locked.key").replace(made / "known.key")
    return made


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[KafkaProcess]:
    """A Kafka that speaks SASL_SSL, and SSL with who shows a certificate; ``plaint`` may do everything
    and ``known.pem`` what plaint does; ``guest`` and ``new.pem`` may do nothing.
    """
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_plaint="s3same" user_guest="s3same";'
    properties = {
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": login,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:plaint",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "both.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "office" / "cert"),
        "listener.name.ssl.ssl.client.auth": "required",
    }
    with KafkaProcess(folder / "kafka", properties, ["SASL_SSL", "SSL"]) as started:
        with closing(KafkaAdminClient(bootstrap_servers=started.bootstrap)) as admin:
            admin.create_acls(_all(_by_certificate(folder, "known")))
        yield started


def _all(user: KafkaSettings) -> list[ACL]:
    """The rights to do what plaint does."""
    prefixes = ((ResourceType.TOPIC, "plaint."), (ResourceType.GROUP, "plaint-"))
    places = [ResourcePattern(kind, name, ACLResourcePatternType.PREFIXED) for kind, name in prefixes]
    return [ACL(user.principal(), "*", ACLOperation.ALL, ACLPermissionType.ALLOW, place) for place in places]


def _by_certificate(folder: Path, name: str | None, broker: str = "127.0.0.1:1") -> KafkaSettings:
    """Settings with one of those certificates, or with none."""
    own: dict[str, object] = {}
    if name is not None:
        own = {"ssl_certfile": folder / f"{name}.pem", "ssl_keyfile": folder / f"{name}.key"}
        own["ssl_keyfile_password"] = "s3same"
    return KafkaSettings.model_validate(
        {"brokers": [broker], "security_protocol": "SSL", "ssl_cafile": str(folder / "cert"), **own}
    )


@pytest.fixture
def shown(node: KafkaProcess, folder: Path) -> Callable[[str | None], KafkaSettings]:
    """Makes settings for that Kafka with one of those certificates, or with none."""
    return lambda name: _by_certificate(folder, name, node.more["SSL"])


@pytest.fixture
def secure(node: KafkaProcess, folder: Path) -> Callable[..., KafkaSettings]:
    """Makes settings for a user of that Kafka."""

    def settings(user: str = "plaint", password: str = "s3same", ca: bool = True) -> KafkaSettings:
        return KafkaSettings.model_validate(
            {
                "brokers": (node.more["SASL_SSL"],),
                "security_protocol": "SASL_SSL",
                "ssl_cafile": str(folder / "cert") if ca else "",
                "sasl_mechanism": "PLAIN",
                "sasl_username": user,
                "sasl_password": password,
            }
        )

    return settings


async def test_topics_and_records_pass_over_tls_with_a_password(secure: Callable[..., KafkaSettings]) -> None:
    kafka = secure()
    assert POSTS in ensure_topics(kafka, [])
    publisher = Publisher(kafka)
    await publisher.start()
    await publisher.publish([OutRecord(POSTS, 0, b"key", b"value")])
    await publisher.stop()


def test_missing_rights_are_told_for_every_topic(secure: Callable[..., KafkaSettings]) -> None:
    with pytest.raises(
        TopicsWrong, match=r"kafka\.sasl_username: plaint\.posts was refused: TopicAuthorization"
    ) as told:
        ensure_topics(secure("guest"), ["helpdesk"])
    assert len(told.value.faults) == 5
    assert all("grant the user Create and Describe" in fault.mend for fault in told.value.faults)


@pytest.mark.parametrize(
    ("wrong", "reason"), [({"password": "other"}, "no answer from"), ({"ca": False}, "CERTIFICATE_VERIFY_FAILED")]
)
def test_a_refused_connection_is_told_with_its_reason(
    wrong: dict[str, object], reason: str, secure: Callable[..., KafkaSettings]
) -> None:
    with pytest.raises(BrokerAway, match=f"{reason}.*are protocol, user and password right"):
        ensure_topics(secure(**wrong), [], timeout_s=1)


def test_a_login_that_was_refused_is_the_reason_whatever_the_later_tries_say() -> None:
    reason = _Reason()
    refused = SaslAuthenticationFailedError("Invalid username or password")
    for error in (KafkaConnectionError("socket disconnected"), refused, KafkaTimeoutError("SASL timed out")):
        message, arguments = "Bootstrap connection to %s failed: %s", ("bootstrap-0", error)
        reason.handle(logging.LogRecord("kafka.net.manager", logging.WARNING, "", 0, message, arguments, None))
    assert reason.error is refused


def test_a_hanging_kafka_is_given_up_in_time_and_used_once_it_answers(
    node: KafkaProcess, secure: Callable[..., KafkaSettings]
) -> None:
    node.pause()
    began = time.monotonic()
    with pytest.raises(BrokerAway):
        ensure_topics(secure(), [], timeout_s=1)
    assert time.monotonic() - began < 8
    node.resume()
    assert ensure_topics(secure(), []) == ()


def test_the_doctor_tells_password_and_certificate_apart(
    secure: Callable[..., KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "KAFKA_S", 2.0)
    _, login = brokers.check(secure(password="other")).findings
    assert login.place == "kafka.sasl_password"
    assert "the login of plaint (PLAIN) fails" in login.what
    assert "other" not in login.what
    [certificate] = brokers.check(secure(ca=False)).findings
    assert "its certificate is not accepted" in certificate.what
    assert "kafka.ssl_cafile" in certificate.mend
    [ends] = brokers.check(secure()).findings
    assert (ends.severity, "valid for 1 more days" in ends.what) == ("warn", True)


def test_rights_that_the_user_of_a_certificate_lacks_are_told_with_its_name(
    shown: Callable[[str | None], KafkaSettings],
) -> None:
    with pytest.raises(TopicsWrong, match=r"kafka\.ssl_certfile: plaint\.posts was refused: TopicAuthorization"):
        ensure_topics(shown("new"), [])
    with pytest.raises(
        JoinRefused, match=r"kafka\.ssl_certfile: User:CN=new .*,O=Acme\\, Inc\. lacks Read on the group"
    ):
        require_reads(shown("new"), "route", DESKS)


async def test_who_shows_a_certificate_gets_through_with_every_client(
    shown: Callable[[str | None], KafkaSettings], tmp_path: Path
) -> None:
    kafka = shown("known")
    await asyncio.to_thread(ensure_topics, kafka, DESKS)
    with closing(PostPublisher(kafka.connection(), idempotent=True)):
        pass
    async with Publisher(kafka) as publisher:
        await publisher.publish([triage("x:1")])
    with _routing(kafka, tmp_path) as stage:
        await _ticket(kafka, "x:1")
        stage.terminate()
        assert await asyncio.to_thread(stage.wait, 60) == 0, (tmp_path / "log").read_text()
    require_reads(kafka, "route", DESKS)
    assert brokers.check(kafka).state == "warn", "the certificates end tomorrow"


async def test_a_stage_that_may_no_longer_read_ends_as_one_that_failed(
    node: KafkaProcess,
    secure: Callable[..., KafkaSettings],
    shown: Callable[[str | None], KafkaSettings],
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(ensure_topics, secure(), DESKS)
    async with Publisher(secure()) as publisher:
        await publisher.publish([triage("x:2")])
    with closing(KafkaAdminClient(bootstrap_servers=node.bootstrap)) as admin:
        admin.create_acls(_all(shown("new")))
        try:
            with _routing(shown("new"), tmp_path) as stage:
                await _ticket(secure(), "x:2")
                admin.delete_acls(_all(shown("new")))
                assert await asyncio.to_thread(stage.wait, 60) == EXIT_FAILED
        finally:
            admin.delete_acls(_all(shown("new")))
    assert re.search(r"ends at once: \w+AuthorizationFailedError: .*plaint", (tmp_path / "log").read_text())


async def test_a_waiting_ticket_is_read_back_with_the_authority_that_the_worker_began_with(
    secure: Callable[..., KafkaSettings], folder: Path, tmp_path: Path
) -> None:
    authority, log = tmp_path / "cert", deliveries("helpdesk")
    authority.write_bytes((folder / "cert").read_bytes())
    kafka = secure().model_copy(update={"ssl_cafile": str(authority)})
    await asyncio.to_thread(ensure_topics, kafka, DESKS)
    async with Publisher(kafka) as publisher:
        [offset] = await publisher.append(log, 0, [OutRecord(log, 0, b"key", b"ticket")])
    bodies = LogBodies(bodies_consumer(kafka), log)
    authority.unlink()
    assert await bodies.read(0, offset) == (b"key", b"ticket")
    await bodies.stop()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (None, "the listener wants a certificate of its clients, and the settings name none: .*ALERT"),
        ("foreign", r"the brokers do not take the certificate in kafka\.ssl_certfile: .*ALERT"),
    ],
)
async def test_a_certificate_that_is_missing_or_of_another_authority_is_told_by_whoever_meets_the_broker(
    name: str | None, told: str, shown: Callable[[str | None], KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = shown(name)
    with pytest.raises(BrokerAway, match=r"ALERT_\w*CERTIFICATE.*kafka\.ssl_certfile"):
        ensure_topics(kafka, [], timeout_s=1)
    for reading in (TopicReader(kafka).__aenter__(), find_strangers(kafka, [])):
        with pytest.raises(Unavailable, match=r"no answer from .*kafka\.ssl_certfile"):
            await reading
    monkeypatch.setattr(run, "BROKER_WAIT_S", 1)
    for key, value in _variables(kafka).items():
        monkeypatch.setenv(key, value)
    stage = await asyncio.to_thread(CliRunner().invoke, cli, ["run", "route"])
    assert isinstance(stage.exception, BrokerAway)
    assert "kafka.ssl_certfile" in str(stage.exception)
    monkeypatch.setattr(brokers, "KAFKA_S", 2.0)
    [found] = [one for one in brokers.check(kafka).findings if one.severity == "fail"]
    assert found.place == "kafka.ssl_certfile"
    assert re.match(told, found.what)


def test_a_broker_that_ends_the_handshake_for_want_of_a_certificate_is_not_taken_for_one_without_tls(
    node: KafkaProcess, shown: Callable[[str | None], KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(kafka: KafkaSettings) -> ssl.SSLContext:
        """Of TLS 1.2, in which the handshake ends only once the broker has taken the certificate."""
        context = current(kafka)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    current = KafkaSettings.ssl_context
    monkeypatch.setattr(KafkaSettings, "ssl_context", older)
    [found] = [one for one in brokers.check(shown(None)).findings if one.severity == "fail"]
    assert found.place == node.more["SSL"]
    assert "the listener wants a certificate of its clients" in found.what


def test_the_doctor_says_when_the_certificate_of_this_client_ends(
    shown: Callable[[str | None], KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> list[tuple[str, str]]:
        found = brokers.check(shown("known")).findings
        return [(one.severity, one.what) for one in found if one.place == "kafka.ssl_certfile"]

    assert [severity for severity, _ in told()] == ["warn"]
    monkeypatch.setattr(brokers, "read", lambda file: Certificate("CN=known", datetime(2020, 1, 2, tzinfo=UTC)))
    assert told() == [("fail", "its certificate has expired on 2020-01-02")]


def _variables(kafka: KafkaSettings) -> dict[str, str]:
    """The environment of a stage with these settings."""
    hook = {"url": "http://127.0.0.1:9/hook", "secret_file": "none"}
    return Settings.model_validate({"kafka": kafka, "destinations": dict.fromkeys(DESKS, hook)}).environment()


async def _ticket(kafka: KafkaSettings, post: str) -> None:
    """Return once there is a ticket of this post."""
    async with TopicReader(kafka) as reader, asyncio.timeout(60):
        where = await reader.partitions([tickets(name) for name in DESKS])
        async with aclosing(reader.follow(where, EARLIEST)) as records:
            async for record in records:
                if post.encode() in (record.value or b""):
                    return


@contextmanager
def _routing(kafka: KafkaSettings, folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """``plaint run route`` with these settings; what it logs stands in ``folder``/log."""
    own = environment({**_variables(kafka), "PLAINT_RUNTIME_DIR": str(folder)})
    with (folder / "log").open("wb") as log:
        stage = subprocess.Popen([PLAINT, "run", "route"], stdout=log, stderr=log, cwd=folder, env=own)
    try:
        yield stage
    finally:
        stage.kill()
        stage.wait()
