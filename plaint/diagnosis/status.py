"""How each stage is: from Kafka, from what the processes say of themselves, and from the processes on this machine."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiokafka.errors import KafkaError as ReadFailed
from kafka.errors import KafkaError
from pydantic import BaseModel, ConfigDict, computed_field

from plaint.diagnosis.finding import Finding, fail, failures
from plaint.diagnosis.processes import Address, stopped_workers
from plaint.diagnosis.states import Told, ask
from plaint.diagnosis.topics_check import unusable
from plaint.diagnosis.topics_view import DeadTally, OpenTickets, dead_letters, open_tickets
from plaint.kafka.admin import BrokerAway, open_admin
from plaint.kafka.backlog import Backlog, backlogs
from plaint.kafka.groups import GroupState, committed_offsets, group_states
from plaint.kafka.reading import TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import TopicState, topic_states
from plaint.monitoring.gather import STARTING
from plaint.monitoring.state import ChildState, LastError, StageState
from plaint.switches import switch_states, why_disabled
from schemas import topics
from schemas.faults import FaultsFound, Unavailable
from schemas.topics import DELIVER

ADMIN_S = 8.0
BACKLOG_S = 6.0
LOG_S = 8.0
WATCH_S = 5.0
"""How long a stage that says nothing of itself is watched for a sign that it works; longer than a batch takes."""
WATCH_STEP_S = 0.5
DEAD_SINCE = timedelta(hours=1)
_PASSING = re.compile(r"coordinator|heartbeat|rebalanc", re.IGNORECASE)
"""Errors that Kafka's clients log and get over by themselves."""
START = timedelta(seconds=60)
"""What a process may lack for so long after its start."""


class StageStatus(BaseModel):
    """One stage over all its processes; ages in seconds, None where something is not known.

    ``processes`` are the members of its group, ``group`` the group's state. ``moves`` is false where it acknowledged
    nothing while it was watched although something waits; ``silent`` and ``unwell`` hold what its processes lack,
    ``starting`` what those lack that began a moment ago; ``kept`` is what they go on with since what they were to take
    up was refused, and why.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    destination: str = ""
    processes: int | None = None
    group: str = ""
    refused: str = ""
    trouble: str = ""
    stopped: tuple[int, ...] = ()
    silent: tuple[str, ...] = ()
    unwell: tuple[str, ...] = ()
    starting: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    done: bool = False
    moves: bool | None = None
    lag: int | None = None
    lags: dict[int, int] = {}
    lost: int = 0
    oldest_waiting_s: float | None = None
    open_tickets: int | None = None
    oldest_undelivered_s: float | None = None
    breaker: str = ""
    breaker_since: datetime | None = None
    disabled: str = ""
    last_error: LastError | None = None
    dead: tuple[DeadTally, ...] = ()
    versions: tuple[str, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def alive(self) -> bool | None:
        """Whether somebody does its work, or it is done; None where that is not known."""
        if self.done or self.stopped:
            return self.done
        return None if self.processes is None else self.processes > 0


class Status(BaseModel):
    """All stages in the order of the way, and what has to be done."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    stages: tuple[StageStatus, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass
class _Seen:
    """What Kafka says."""

    topics: dict[str, TopicState] = field(default_factory=dict)
    groups: dict[str, GroupState] = field(default_factory=dict)
    brokers: list[Address] = field(default_factory=list)
    backlogs: dict[str, dict[int, Backlog]] = field(default_factory=dict)
    moving: dict[str, bool] = field(default_factory=dict)
    open: dict[str, OpenTickets] = field(default_factory=dict)
    disabled: dict[str, str] = field(default_factory=dict)
    dead: dict[str, list[DeadTally]] = field(default_factory=dict)
    troubles: list[Finding] = field(default_factory=list)


def consumers(destinations: Sequence[str]) -> dict[str, str]:
    """The stages that read a topic, in the order of the way, with that topic."""
    delivering = {DELIVER + name: topics.tickets(name) for name in destinations}
    return {"classify": topics.POSTS, "route": topics.TRIAGED, **delivering}


async def look(kafka: KafkaSettings, destinations: Sequence[str], addresses: Iterable[str]) -> Status:
    """The status now, in a few seconds; without judgement, but for what kept it from being seen.

    ``addresses`` are where processes, or a ``plaint up``, tell of themselves.
    """
    inputs = consumers(destinations)
    told, seen = await asyncio.gather(ask(addresses), _kafka(kafka, inputs))
    await _more(kafka, inputs, told, seen)
    stopped = await asyncio.to_thread(stopped_workers, [*seen.brokers, *map(_address, kafka.brokers)])
    now = datetime.now(UTC)
    names = [name for name in ("ingest", *inputs, "inbox") if name in inputs or _tells(told, name)]
    stages = tuple(_stage(name, inputs, told, seen, stopped.get(name, []), now) for name in names)
    troubles = [
        fail(address, f"was asked for its state: {why}", "look whether that process runs, and at its log")
        for address, why in told.silent.items()
    ]
    lacks = [finding for state in seen.topics.values() for finding in unusable(state)]
    return Status(at=now, stages=stages, findings=(*seen.troubles, *lacks, *troubles))


def _tells(told: Told, name: str) -> bool:
    return any(state.name == name for state in told.stages) or any(child.name == name for child in told.children)


def _address(broker: str) -> Address:
    host, _, port = broker.rpartition(":")
    return host, int(port)


# -- Kafka -------------------------------------------------------------------------------------------------------------


async def _kafka(kafka: KafkaSettings, inputs: Mapping[str, str]) -> _Seen:
    seen = _Seen()
    try:
        await asyncio.to_thread(_visit, kafka, inputs, seen)
        places = {
            (topic, number): seen.groups[stage].committed.get(topic, {}).get(number)
            for stage, topic in inputs.items()
            for number in seen.topics[topic].led
            if not seen.groups[stage].refused
        }
        for (topic, number), backlog in (await backlogs(kafka, places, BACKLOG_S)).items():
            seen.backlogs.setdefault(topic, {})[number] = backlog
    except (BrokerAway, KafkaError, ReadFailed, OSError) as error:
        seen.troubles.append(_trouble(error))
    return seen


def _visit(kafka: KafkaSettings, inputs: Mapping[str, str], seen: _Seen) -> None:
    wanted = topics.all_topics(name.removeprefix(DELIVER) for name in inputs if name.startswith(DELIVER))
    with open_admin(kafka, ADMIN_S) as admin:
        seen.topics.update({state.name: state for state in topic_states(admin, kafka, wanted)})
        seen.groups.update({s: g for s in inputs for g in group_states(admin, [topics.group(s)]).values()})
        seen.brokers += [(broker["host"], broker["port"]) for broker in admin.describe_cluster()["brokers"]]


def _trouble(error: Exception) -> Finding:
    return fail(
        "kafka",
        str(error) or type(error).__name__,
        "`plaint doctor` tells what of it fails: name, port, TLS, password or right",
    )


async def _more(kafka: KafkaSettings, inputs: Mapping[str, str], told: Told, seen: _Seen) -> None:
    """What takes longer, and only where it is not known already."""
    if seen.troubles:
        return
    telling = {state.name for state in told.stages}
    quiet = [name for name in inputs if name not in telling]
    try:
        await asyncio.gather(_watch(kafka, inputs, quiet, seen), _read(kafka, inputs, quiet, seen))
    except (KafkaError, ReadFailed, Unavailable, OSError) as error:
        seen.troubles.append(_trouble(error))
    except FaultsFound as refused:
        seen.troubles += failures(refused.faults)


async def _read(kafka: KafkaSettings, inputs: Mapping[str, str], quiet: Sequence[str], seen: _Seen) -> None:
    """From topics of which a partition has no leader nothing is read: it would be waited for, and is named anyway."""
    unread = {name for name, state in seen.topics.items() if state.leaderless}
    destinations = [name.removeprefix(DELIVER) for name in quiet if name.startswith(DELIVER)]
    delivering = [name for name in destinations if topics.deliveries(name) not in unread]
    async with TopicReader(kafka) as reader:
        if topics.DEAD_LETTERS not in unread:
            seen.dead = await dead_letters(reader, datetime.now(UTC) - DEAD_SINCE, inputs, LOG_S)
        if delivering and (found := await open_tickets(reader, delivering, LOG_S)) is not None:
            seen.open = {DELIVER + name: tickets for name, tickets in found.items()}
    if delivering:
        states = await switch_states(kafka, delivering)
        seen.disabled = {DELIVER + one.destination: why_disabled(one.disabled) for one in states if one.disabled}


async def _watch(kafka: KafkaSettings, inputs: Mapping[str, str], quiet: Sequence[str], seen: _Seen) -> None:
    """See whether those who have something before them acknowledge any of it."""
    waiting = {
        name
        for name in quiet
        if seen.groups[name].members and any(part.lag for part in seen.backlogs.get(inputs[name], {}).values())
    }
    seen.moving = dict.fromkeys(waiting, False)
    for _ in range(int(WATCH_S / WATCH_STEP_S)):
        still = [name for name, moves in seen.moving.items() if not moves]
        if not still:
            return
        await asyncio.sleep(WATCH_STEP_S)
        now = await asyncio.to_thread(_committed, kafka, still)
        seen.moving |= {name: now[name] != seen.groups[name].committed for name in still}


def _committed(kafka: KafkaSettings, stages: Sequence[str]) -> dict[str, dict[str, dict[int, int]]]:
    with open_admin(kafka, ADMIN_S) as admin:
        return {stage: committed_offsets(admin, topics.group(stage)) for stage in stages}


# -- put together ------------------------------------------------------------------------------------------------------


def _stage(
    name: str, inputs: Mapping[str, str], told: Told, seen: _Seen, stopped: Sequence[int], now: datetime
) -> StageStatus:
    states = [state for state in told.stages if state.name == name]
    child = next((child for child in told.children if child.name == name), None)
    parts = seen.backlogs.get(inputs.get(name, ""), {})
    oldest = [part.oldest_at for part in parts.values() if part.oldest_at is not None]
    group = seen.groups.get(name)
    errors = [error for state in states if (error := _error(state)) is not None]
    return StageStatus(
        name=name,
        destination=name.removeprefix(DELIVER) if name.startswith(DELIVER) else "",
        processes=_processes(group, child, states),
        group=group.state if group else "",
        refused=group.refused if group else "",
        trouble=group.trouble if group else "",
        stopped=tuple(stopped),
        silent=_silent(child),
        unwell=_unwell(states),
        starting=_starting(child, states),
        kept=kept(states),
        done=child is not None and child.done,
        moves=seen.moving.get(name),
        lag=sum(part.lag for part in parts.values()) if parts else None,
        lags={number: part.lag for number, part in sorted(parts.items())},
        lost=sum(part.lost for part in parts.values()),
        oldest_waiting_s=max(0.0, now.timestamp() - min(oldest)) if oldest else None,
        last_error=max(errors, key=lambda one: one.at, default=None),
        dead=tuple(seen.dead.get(name, ())),
        versions=tuple(sorted({state.version for state in states})),
        **_delivering(states, seen.open.get(name), seen.disabled.get(name, ""), now),
    )


def _error(state: StageState) -> LastError | None:
    """The last error of a process, unless it has got over it: it works again, or what failed was a client's own retry."""
    error = state.last_error
    if error is None or not (state.ready and state.healthy):
        return error
    went_on = state.last_progress_at is not None and state.last_progress_at > error.at
    return None if went_on or _PASSING.search(error.what) else error


def _processes(group: GroupState | None, child: ChildState | None, states: Sequence[StageState]) -> int | None:
    if group is not None and not (group.refused or group.trouble):
        return group.members
    if child is not None:
        return int(child.pid is not None)
    return len(states) or None


def _silent(child: ChildState | None) -> tuple[str, ...]:
    if child is None or child.done or not child.silent or child.silent == STARTING:
        return ()
    ended = "" if child.last_exit is None else f"; it ended with code {child.last_exit}, {child.restarts} times in all"
    return (f"{child.silent}{ended}",)


def _unwell(states: Sequence[StageState]) -> tuple[str, ...]:
    found = [f"{state.instance}: {state.unhealthy_why}" for state in states if not state.healthy]
    return (*found, *(lack for state in states if not _is_new(state) for lack in _lacks(state)))


def _starting(child: ChildState | None, states: Sequence[StageState]) -> tuple[str, ...]:
    silent = (child.silent,) if child is not None and child.silent == STARTING else ()
    return (*silent, *(lack for state in states if _is_new(state) for lack in _lacks(state)))


def kept(states: Sequence[StageState]) -> tuple[str, ...]:
    """What goes on since what these processes were to take up was refused, and why; what several say, once."""
    found = [
        f"routes {one.routes.version} stay in use: {why}" for one in states if one.routes for why in one.routes.refused
    ]
    found += [
        f"model {one.model.version} stays in use: {why}" for one in states if one.model for why in one.model.refused
    ]
    return tuple(dict.fromkeys(found))


def _is_new(state: StageState) -> bool:
    return state.at - state.started_at < START


def _lacks(state: StageState) -> list[str]:
    return [] if state.ready else [f"{state.instance}: {lack}" for lack in state.missing]


def _delivering(
    states: Sequence[StageState], read: OpenTickets | None, disabled_by_log: str, now: datetime
) -> dict[str, object]:
    """What only a deliver stage has."""
    breakers = [state.breaker for state in states if state.breaker]
    breaker = next((one for one in breakers if one.state == "open"), breakers[0] if breakers else None)
    disabled = next((state.disabled for state in states if state.disabled), None)
    told = [state.open_tickets for state in states if state.open_tickets is not None]
    ages = [state.oldest_undelivered_s for state in states if state.oldest_undelivered_s is not None]
    if read is not None:
        told, ages = [read.count], [now.timestamp() - read.oldest_at] if read.oldest_at is not None else []
    return {
        "open_tickets": sum(told) if told else None,
        "oldest_undelivered_s": max(ages, default=None),
        "breaker": breaker.state if breaker else "",
        "breaker_since": breaker.since if breaker else None,
        "disabled": disabled.why if disabled else disabled_by_log,
    }
