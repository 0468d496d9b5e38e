"""Making the topics: safe to call by every starter at once, and again."""

import logging
import time
from collections.abc import Callable, Collection, Iterable

from kafka import errors
from kafka.admin import KafkaAdminClient

from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import PARTITIONS, Difference, TopicState, topic_states
from schemas.faults import Fault, FaultsFound
from schemas.topics import Topic, all_topics

log = logging.getLogger(__name__)

ATTEMPT_S = 5.0
"""For an attempt; one after another that needed all of it has twice as long, since a cluster that is sound may be slow."""
PAUSE_S = 0.5
BROKERS_DEFAULT = -1
"""In a request to create a topic: as many replicas as the brokers' ``default.replication.factor`` (KIP-464, Kafka 2.4)."""
MENDS: dict[type[errors.KafkaError], tuple[str | None, str]] = {
    errors.InvalidReplicationFactorError: (
        "kafka.replication_factor",
        "set it to at most the number of brokers that run; without it the brokers' default.replication.factor counts",
    ),
    errors.InvalidPartitionsError: ("kafka.partitions", "set a count that the brokers allow"),
    errors.PolicyViolationError: (
        "kafka.partitions",
        "the brokers' policy refuses the topic: make it by hand as the policy wants",
    ),
    errors.TopicAuthorizationFailedError: (
        None,
        "grant the user Create and Describe on plaint.*, or make the topics by hand: `plaint topics --print` tells how",
    ),
    errors.ClusterAuthorizationFailedError: (
        None,
        "grant the user Create on plaint.*, or make the topics by hand: `plaint topics --print` tells how",
    ),
}
"""The setting at fault, None for the one that says who this is, and the mend."""


class TopicsWrong(FaultsFound):
    """The topics are not as plaint needs them."""


def ensure_topics(
    kafka: KafkaSettings,
    destinations: Iterable[str],
    *,
    only: Collection[str] | None = None,
    timeout_s: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[str, ...]:
    """Create the topics that are missing and return once every partition of every topic has a leader: those created. Blocks.

    ``only`` names the topics to look at where a stage has no right to see the others. A topic that exists is never changed.

    Raises TopicsWrong if one has another partition count or cleanup policy than plaint
    relies on, or if rights are missing; BrokerAway if the brokers do not answer within ``timeout_s``.
    """
    wanted = [topic for topic in all_topics(destinations) if only is None or topic.name in only]
    deadline = clock() + timeout_s
    created: set[str] = set()
    told: set[str] = set()
    attempt_s = ATTEMPT_S
    while True:
        began = clock()
        try:
            with open_admin(kafka, max(0.1, min(attempt_s, deadline - clock()))) as admin:
                made = _ensure(admin, kafka, wanted, created)
            if told:
                log.info("Kafka answers")
            return made
        except BrokerAway as error:
            if clock() + PAUSE_S >= deadline:
                raise
            if str(error) not in told:
                log.info("waiting for Kafka: %s", error)
            told.add(str(error))
        if clock() - began >= attempt_s:
            attempt_s *= 2
        sleep(PAUSE_S)


def _ensure(admin: KafkaAdminClient, kafka: KafkaSettings, wanted: list[Topic], created: set[str]) -> tuple[str, ...]:
    """One pass. ``created`` collects over passes, so that a broker that leaves half-way does not change the answer."""
    states = _look(admin, kafka, wanted)
    missing = [topic for topic, state in zip(wanted, states, strict=True) if state.found == "missing"]
    if missing:
        created |= _create(admin, kafka, missing)
        admin.wait_for_topics([topic.name for topic in missing])
        states = _look(admin, kafka, wanted)
    if faults := [_fault(state.name, one) for state in states for one in state.differences if one.is_fault]:
        raise TopicsWrong(faults)
    return tuple(sorted(created))


def _look(admin: KafkaAdminClient, kafka: KafkaSettings, wanted: list[Topic]) -> list[TopicState]:
    """The topics as they are. Raises TopicsWrong where we may not look."""
    states = topic_states(admin, kafka, wanted)
    if hidden := [state.name for state in states if state.found == "hidden"]:
        raise TopicsWrong([_refused(kafka, name, errors.TopicAuthorizationFailedError, "") for name in hidden])
    return states


def _create(admin: KafkaAdminClient, kafka: KafkaSettings, missing: list[Topic]) -> set[str]:
    """Ask for the topics; those that this call made. Another starter may have been first: that is as good."""
    new = {
        topic.name: {
            "num_partitions": kafka.partitions,
            "replication_factor": kafka.replication_factor or BROKERS_DEFAULT,
            "configs": topic.config,
        }
        for topic in missing
    }
    made, faults = set(), []
    for answer in admin.create_topics(new, raise_errors=False)["topics"]:
        kind = errors.for_code(answer["error_code"])
        if kind is errors.NoError:
            made.add(answer["name"])
        elif kind.retriable or kind is errors.UnknownError:
            raise BrokerAway(f"{answer['name']}: {kind.__name__}")
        elif kind is not errors.TopicAlreadyExistsError:
            faults.append(_refused(kafka, answer["name"], kind, answer.get("error_message") or ""))
    if faults:
        raise TopicsWrong(faults)
    return made


def _refused(kafka: KafkaSettings, name: str, kind: type[errors.KafkaError], message: str) -> Fault:
    key, mend = MENDS.get(kind, ("kafka", "make the topic by hand"))
    return Fault(key or kafka.user_key, f"{name} was refused: {kind.__name__}{': ' if message else ''}{message}", mend)


def _fault(name: str, difference: Difference) -> Fault:
    if difference.key == PARTITIONS:
        what = f"{name} has {difference.has} partitions, the settings say {difference.wants}"
        return Fault("kafka.partitions", what, difference.mend)
    what = f"{name} has {difference.key}={difference.has}, plaint relies on {difference.wants}"
    return Fault("kafka", what, difference.mend)
