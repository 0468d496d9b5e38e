"""Whether the brokers can be reached, and if not, how far one gets: name, port, TLS, password, their own addresses."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from kafka.errors import KafkaError

from plaint.broker.kafka_release import release_faults
from plaint.broker.settings import BrokerSettings
from plaint.diagnosis.check import Check, checked, skipped
from plaint.diagnosis.finding import Finding, fail, failures, warn
from plaint.diagnosis.sockets import Unreached, addresses, connected, secured
from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.certificate import CERTFILE, is_refused, read
from plaint.kafka.settings import KafkaSettings
from plaint.preflight import check_kafka

NAME = "brokers"
KAFKA_S = 12.0
CERTIFICATE_DAYS = 14
MENDS = {
    "dns": "correct the name in kafka.brokers, or mend this machine's DNS",
    "tcp": "look whether the broker runs: its log says why it ended, a full disk ends it too; if it runs, look at its port, "
    "listeners and the firewall between",
    "tls": "set kafka.security_protocol to what this listener speaks (PLAINTEXT, SASL_PLAINTEXT?)",
    "certificate": "set kafka.ssl_cafile to the authority that signed it; the name in kafka.brokers must be in it; one that "
    "has expired is for whoever runs the broker to renew",
}


def check(kafka: KafkaSettings) -> Check:
    """Every broker of the settings, then the addresses that they tell clients to use."""
    looked = f"{', '.join(kafka.brokers)} ({kafka.security_protocol})"
    if faults := check_kafka(kafka):
        return checked(NAME, looked, failures(faults))
    own = list(_own_certificate(kafka))
    found = [finding for broker in kafka.brokers for finding in _reach(kafka, broker)]
    reached = [
        broker for broker in kafka.brokers if broker not in {one.place for one in found if one.severity == "fail"}
    ]
    if not reached:
        return checked(NAME, looked, [*own, *found])
    try:
        with open_admin(kafka.model_copy(update={"brokers": tuple(reached)}), KAFKA_S) as admin:
            told = admin.describe_cluster()
    except (BrokerAway, KafkaError) as error:
        return checked(NAME, looked, [*own, *found, _speechless(kafka, str(error))])
    found = [*own, *_spared(found, told), *_advertised(told, kafka)]
    return checked(NAME, f"{looked}; cluster of {len(alive(told))}", found)


def alive(told: Any) -> list[Any]:
    """The brokers of a cluster but for those that the others take to be gone, which newer Kafkas name as well."""
    return [broker for broker in told["brokers"] if not broker.get("is_fenced")]


def _spared(found: Sequence[Finding], told: Any) -> Iterator[Finding]:
    """What is wrong with a broker that the others have noticed to be gone is only a warning: they do its work."""
    there = {f"{broker['host']}:{broker['port']}" for broker in alive(told)}
    for one in found:
        yield one if one.place in there else one.model_copy(update={"severity": "warn"})


def check_embedded(settings: BrokerSettings) -> Check:
    """Where no broker is named and none runs: whether `plaint up` could start one."""
    if settings.embedded == "tansu":
        return skipped(NAME, "kafka.brokers names none and no `plaint up` of this user runs: it brings one along")
    found = failures(release_faults(settings))
    return checked(NAME, "Java and the Kafka release that `plaint up` would start", found)


def _reach(kafka: KafkaSettings, broker: str) -> Iterator[Finding]:
    """By socket as far as that goes."""
    host, _, port = broker.rpartition(":")
    context = kafka.connection().get("ssl_context")
    try:
        with connected(host, int(port), addresses(host, int(port))) as line:
            if context is not None:
                wrapped, expires = secured(line, host, context)
                wrapped.close()
                yield from expiring(broker, expires, "ask whoever runs the broker to renew it")
    except Unreached as stopped:
        if is_refused(stopped.what):
            yield _unrecognised(kafka, broker, stopped.what)
        else:
            yield fail(broker, stopped.what, MENDS[stopped.step])


def _own_certificate(kafka: KafkaSettings) -> Iterator[Finding]:
    """Where the one that is shown to the brokers has ended, or soon will have."""
    if kafka.ssl_certfile is None:
        return
    ends = read(kafka.ssl_certfile).ends
    mend = "put a new one there and start the stages again: they read it when they start"
    if ends <= datetime.now(UTC):
        yield fail(CERTFILE, f"its certificate has expired on {ends:%Y-%m-%d}", mend)
    else:
        yield from expiring(CERTFILE, ends, mend)


def expiring(place: str, expires: datetime | None, mend: str) -> Iterator[Finding]:
    """A certificate that is soon no longer valid."""
    if expires is not None and (days := (expires - datetime.now(UTC)).days) < CERTIFICATE_DAYS:
        yield warn(place, f"its certificate is valid for {days} more days, until {expires:%Y-%m-%d}", mend)


def _speechless(kafka: KafkaSettings, error: str) -> Finding:
    """The port is open, but Kafka does not answer us."""
    if is_refused(error):
        return _unrecognised(kafka, CERTFILE, error)
    if kafka.security_protocol.startswith("SASL"):
        what = f"the connection is open, but the login of {kafka.sasl_username} ({kafka.sasl_mechanism}) fails: {error}"
        mend = "compare kafka.sasl_username, sasl_password and sasl_mechanism with what the broker knows"
        return fail("kafka.sasl_password", what, mend)
    wants = (
        "a login, or a certificate that it knows: kafka.ssl_certfile"
        if kafka.security_protocol == "SSL"
        else "TLS or a login"
    )
    mend = (
        f"if a Kafka listens there: kafka.security_protocol may be wrong (its listener may want {wants}), or the broker hangs: "
        "look at its log"
    )
    return fail("kafka.brokers", f"the port is open, but no Kafka answers: {error}", mend)


def _unrecognised(kafka: KafkaSettings, place: str, error: str) -> Finding:
    """The listener asks for a certificate of its clients, and has not got one that it takes."""
    if kafka.ssl_certfile is None:
        what = "the listener wants a certificate of its clients, and the settings name none"
        mend = "set kafka.ssl_certfile, and kafka.ssl_keyfile, to one of an authority that the brokers trust"
    else:
        what = "the brokers do not take the certificate in kafka.ssl_certfile"
        mend = (
            "give one that has not expired, of an authority in the listener's truststore; certificates between the two "
            "belong into ssl_certfile, behind it"
        )
    return fail(place, f"{what}: {error}", mend)


def _advertised(told: Any, kafka: KafkaSettings) -> Iterator[Finding]:
    for broker in alive(told):
        host, port = broker["host"], broker["port"]
        if f"{host}:{port}" in kafka.brokers:
            continue
        try:
            with connected(host, port, addresses(host, port)), suppress(OSError):
                pass
        except Unreached as stopped:
            what = f"broker {broker['broker_id']} tells clients to come to {host}:{port}, but from here {stopped.what}"
            mend = "set advertised.listeners of that broker to an address that can be reached from here"
            yield fail(f"{host}:{port}", what, mend)
