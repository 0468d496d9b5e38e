"""What keeps tickets back that could be sent else: destinations that are disabled or down, limits that are used up."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from plaint.diagnosis.answers import enable_mend, mend_of
from plaint.diagnosis.states import ask
from plaint.kafka.reading import Start, Stored, TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.local.running import running_on
from plaint.lookup.explanation import Hold
from plaint.monitoring.state import StageState
from plaint.switches import SwitchState, switch_states, why_disabled
from route.delivery.entry import RANKS, is_key, read_entry
from route.delivery.limits import HOUR_S, MINUTE_S, Limits, author_of
from route.delivery.switch import Disabled
from schemas import topics
from schemas.record import RecordInvalid

if TYPE_CHECKING:
    from plaint.settings import Settings

URGENT = RANKS["urgent"]


class Caps(NamedTuple):
    """The limits of a destination, None where it has none."""

    per_minute: int | None = None
    per_author: int | None = None


@dataclass(frozen=True)
class Clues:
    """What is known besides the topics: ``addresses`` where processes tell of themselves, ``caps`` by destination."""

    addresses: tuple[str, ...] = ()
    caps: Mapping[str, Caps] = field(default_factory=dict)


NO_CLUES = Clues()


def clues_at_hand(settings: "Settings", kafka: KafkaSettings, addresses: Iterable[str] = ()) -> Clues:
    """The limits of the settings, and the addresses with that of the ``plaint up`` that runs here on these brokers."""
    running = running_on(kafka.brokers)
    up = running.monitoring if running is not None else ""
    caps = {name: Caps(one.max_per_minute, one.max_per_author_per_hour) for name, one in settings.destinations.items()}
    return Clues(tuple(filter(None, (*addresses, up))), caps)


class Waiting(NamedTuple):
    """An open ticket that is due by what the log says. ``author`` is empty unless it makes a new ticket."""

    destination: str
    key: str
    rank: int
    author: bytes


def waiting_author(op: str, body: bytes) -> bytes:
    """Whose new ticket this is, as the limits count it; empty for what changes one that is there."""
    return author_of(body) if op == "create" and body else b""


class Holds:
    """What is held back, by what processes say of themselves and what the logs hold."""

    def __init__(self, clues: Clues, states: Sequence[StageState]) -> None:
        self._states: dict[str, list[StageState]] = {}
        for state in states:
            if state.stage == "deliver":
                self._states.setdefault(state.destination, []).append(state)
        self._caps = dict(clues.caps)
        for name, found in self._states.items():
            if (limits := found[0].limits) is not None:  # what a worker obeys, whatever the settings here say
                self._caps[name] = Caps(limits.max_per_minute, limits.max_per_author_per_hour)

    def of_destinations(self, switches: Iterable[SwitchState]) -> dict[str, Hold]:
        """Of those among them that get nothing. ``switches`` is what the logs say."""
        found = {one.destination: self._disabled(one) or self._breaker(one.destination) for one in switches}
        return {name: hold for name, hold in found.items() if hold is not None}

    def why_off(self, switch: SwitchState) -> Disabled | None:
        """Why a destination is disabled, by its log and its processes; None: it is not.

        What was refused may be the settings of one process and not of another: those that can be asked say whose.
        """
        off, processes = switch.disabled or switch.refused, self._states.get(switch.destination)
        if off is None or not off.settings or not processes:
            return switch.disabled
        return off if any(one.disabled is not None for one in processes) else None

    def _disabled(self, switch: SwitchState) -> Hold | None:
        off, name = self.why_off(switch), switch.destination
        if off is None:
            return None
        why = why_disabled(off)
        return Hold(
            destination=name,
            cause="disabled",
            why=why,
            since=datetime.fromtimestamp(off.since, UTC),
            status=off.status,
            by="answers" if off.settings else "person",
            mend=enable_mend(why if off.settings else "", name),  # a person's words are no answer, whatever is in them
        )

    def _breaker(self, name: str) -> Hold | None:
        state = next((one for one in self._states.get(name, ()) if one.breaker and one.breaker.state == "open"), None)
        if state is None or state.breaker is None:
            return None
        said = state.last_error.what if state.last_error else ""
        return Hold(destination=name, cause="breaker", why=said, since=state.breaker.since, mend=mend_of(said, name))

    async def of_tickets(self, reader: TopicReader, waiting: Collection[Waiting]) -> dict[str, Hold]:
        """Of those that wait for a limit, by key. What counts is what the log tells of the last hour, or minute.

        It is told as for one process that owns all partitions: of several each has its share, and may wait a bit longer.
        """
        found: dict[str, Hold] = {}
        for name in {one.destination for one in waiting}:
            caps = self._caps.get(name, Caps())
            if caps != Caps():
                theirs = [one for one in waiting if one.destination == name]
                found |= await _limited(reader, name, caps, theirs)
        return found


async def look_for_holds(clues: Clues) -> Holds:
    """Ask the processes, which takes 3 s at most; those that don't answer are passed over."""
    return Holds(clues, (await ask(clues.addresses)).stages if clues.addresses else ())


async def destination_holds(kafka: KafkaSettings, names: Sequence[str], clues: Clues) -> dict[str, Hold]:
    """Of those destinations that get nothing now. Raises as TopicReader does."""
    if not names:
        return {}
    holds = await look_for_holds(clues)
    return holds.of_destinations(await switch_states(kafka, names))


async def _limited(reader: TopicReader, name: str, caps: Caps, waiting: Sequence[Waiting]) -> dict[str, Hold]:
    there = await reader.partitions([topics.deliveries(name)])
    count = sum(map(len, there.values()))
    if not count:
        return {}
    limits, at = Limits(caps.per_minute, caps.per_author, count), time.time()
    since = datetime.fromtimestamp(at, UTC) - timedelta(seconds=HOUR_S if caps.per_author else MINUTE_S)
    async for record in reader.scan(there, Start(since=since)):
        _remember(limits, record, at)
    found = {one.key: _limit(limits, one, at) for one in waiting}
    return {key: hold for key, hold in found.items() if hold is not None}


def _remember(limits: Limits, record: Stored, now: float) -> None:
    """As a new owner does with what the one before has sent."""
    if not is_key(record.key or b"") or b'"sending"' not in (record.value or b""):
        return
    try:
        entry = read_entry(record.key or b"", record.value or b"", record.offset)
    except RecordInvalid:
        return
    if entry.state == "sending":
        limits.remember(waiting_author(entry.op, entry.body), entry.key, record.timestamp, now)


def _limit(limits: Limits, one: Waiting, now: float) -> Hold | None:
    place = f"destinations.{one.destination}"
    wait = limits.author_wait_s(one.author, one.key, now)
    if wait > 0:
        return Hold(
            destination=one.destination,
            cause="max_per_author_per_hour",
            why=f"{limits.per_author} new tickets of one author may go in any hour, and so many have gone",
            until=datetime.fromtimestamp(now + wait, UTC),
            mend=f"it goes by itself; or set {place}.max_per_author_per_hour higher and restart its deliver workers",
        )
    if limits.is_scarce(one.rank == URGENT, now):
        sent = limits.spent(now)
        return Hold(
            destination=one.destination,
            cause="max_per_minute",
            why=f"{limits.per_minute} requests may go in any minute, and {sent} have gone in the last one",
            mend=f"it goes by itself, urgent ones first; or set {place}.max_per_minute higher and restart its deliver workers",
        )
    return None
