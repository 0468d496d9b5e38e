"""A Kafka with TLS, passwords and rights, through both clients; and one that hangs."""

import gc
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka.errors import KafkaConnectionError, KafkaTimeoutError, SaslAuthenticationFailedError

from plaint.diagnosis import brokers
from plaint.kafka.admin import BrokerAway, _Reason
from plaint.kafka.publisher import OutRecord, Publisher
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import TopicsWrong, ensure_topics
from schemas.topics import POSTS
from tests.support.https import self_signed
from tests.support.kafka_process import KafkaProcess, why_no_kafka

pytestmark = [pytest.mark.kafka, pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")]


@pytest.fixture(autouse=True)
def forgotten_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """kafka-python forgets the socket of a handshake that failed; captured log records would keep it for later tests."""
    monkeypatch.setattr(logging.getLogger("kafka"), "propagate", False)
    yield
    gc.collect()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``cert``, signed by itself, for 127.0.0.1."""
    made = tmp_path_factory.mktemp("secure")
    self_signed(made, "127.0.0.1")
    (made / "both.pem").write_text((made / "key").read_text() + (made / "cert").read_text())
    return made


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[KafkaProcess]:
    """A Kafka that speaks SASL_SSL, and SSL with who shows a certificate; ``plaint`` may do everything, ``guest`` is known and
    may do nothing.
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
        "ssl.truststore.location": str(folder / "cert"),
        "listener.name.ssl.ssl.client.auth": "required",
    }
    with KafkaProcess(folder / "kafka", properties, ["SASL_SSL", "SSL"]) as started:
        yield started


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
    assert POSTS in ensure_topics(kafka, []).created
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
    assert POSTS in ensure_topics(secure(), []).existing


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


def test_the_doctor_says_that_a_listener_may_want_a_certificate_of_its_clients(
    node: KafkaProcess, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "KAFKA_S", 2.0)
    kafka = KafkaSettings(brokers=(node.more["SSL"],), security_protocol="SSL", ssl_cafile=str(folder / "cert"))
    _, found = brokers.check(kafka).findings
    assert "a client certificate, which plaint has not" in found.mend
