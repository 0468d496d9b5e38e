"""What a status means: everything that somebody has to look at, with what to do about it. No I/O."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from plaint.diagnosis.answers import enable_mend, mend_of, status_of
from plaint.diagnosis.finding import Finding, count, fail, warn
from plaint.diagnosis.status import StageStatus, Status
from plaint.diagnosis.topics_view import DeadTally
from plaint.terminal import span

BEHIND_S = 60.0
"""A record that waits for longer than this is told."""
UNDELIVERED_S = 300.0
ERROR_IS_OLD = timedelta(minutes=10)

WAITING = {"classify": "post", "route": "labelled post"}
DEAD_MENDS = {
    "refused": "",
    "retries_exhausted": "mend what its answer names, then `plaint dead replay --reason retries_exhausted --force`",
    "unknown_outcome": "look at the destination whether it has them; "
    "`plaint dead replay --reason unknown_outcome --force` sends again",
    "stage_error": "it is a fault of plaint's: its log has the traceback; after an upgrade "
    "`plaint dead replay --reason stage_error`",
}
KEPT_MENDS = {
    "classify": "then `plaint reload`; or `plaint models rollback` and `plaint reload`",
    "route": "then `plaint reload`",
}
"""What comes after the mend that the refusal names."""
STAYS = "stays in use"
"""How the log ends that tells of a refusal, which is told here as long as it holds."""
READ_DEAD = "`plaint dead show` has the record and what is wrong with it; whoever writes it has to mend it"


def judged(status: Status) -> Status:
    """The same with its findings, the worst first."""
    found = [*status.findings, *(finding for stage in status.stages for finding in _stage(stage, status.at))]
    found += _versions(status)
    return status.model_copy(update={"findings": tuple(sorted(found, key=lambda one: one.severity))})


def _stage(stage: StageStatus, now: datetime) -> Iterator[Finding]:
    yield from _life(stage)
    for why in stage.kept:
        yield warn(stage.name, f"what it was to take up was refused, {why}", KEPT_MENDS[stage.name])
    yield from _backlog(stage)
    if stage.destination:
        yield from _destination(stage, now)
    error = stage.last_error
    is_told = stage.breaker == "open" or stage.disabled or (stage.kept and error and error.what.endswith(STAYS))
    if error and now - error.at < ERROR_IS_OLD and not is_told:
        since = span((now - error.at).total_seconds())
        yield warn(stage.name, f"{since} ago: {error.what}", mend_of(error.what, stage.destination))
    for tally in stage.dead:
        yield _dead(stage, tally)


def _life(stage: StageStatus) -> Iterator[Finding]:
    start = f"start it: `{_command(stage)}`, or look at the log of who should keep it running"
    if stage.stopped:
        pids = " ".join(map(str, stage.stopped))
        what = f"process {pids} is stopped by a signal (SIGSTOP): it holds its partitions and does nothing"
        yield fail(stage.name, what, f"`kill -CONT {pids}` lets it go on, `kill {pids}` then ends it")
    elif stage.silent:
        for why in stage.silent:
            yield fail(stage.name, why, "look at its log; `plaint doctor` tries what it needs")
    elif stage.processes == 0 and not stage.done:
        yield fail(stage.name, f"no process does its work{_waits(stage)}", start)
    elif stage.moves is False:
        yield fail(
            stage.name,
            f"it is in its group and acknowledged nothing while it was watched{_waits(stage)}",
            "it may be stopped, stuck or starved: look at its log and at `ps -o pid,stat,args`, where T is stopped "
            "(`kill -CONT PID`); else restart it, what it had in hand is read again",
        )
    if stage.refused:
        mend = "`plaint topics --print` has the right for tools-look; `plaint doctor` names all that lack"
        yield warn(stage.name, f"its consumer group may not be looked at: {stage.refused}", mend)
    if stage.trouble:
        mend = "the broker that keeps its group is down, or its disk full: `plaint doctor brokers broker-disks`, and its log"
        yield fail(stage.name, f"its consumer group can't be looked at: {stage.trouble}", mend)
    for why in stage.starting:
        yield warn(stage.name, f"is starting, {why}", "wait: joining a group takes up to kafka.session_timeout_s")
    for why in stage.unwell:
        yield fail(stage.name, why, "look at its log; `plaint doctor` tries what it needs")


def _command(stage: StageStatus) -> str:
    return f"plaint run deliver --destination {stage.destination}" if stage.destination else f"plaint run {stage.name}"


def _waits(stage: StageStatus) -> str:
    if not stage.lag:
        return ""
    since = "" if stage.oldest_waiting_s is None else f", the oldest for {span(stage.oldest_waiting_s)}"
    return f"; {count(stage.lag, _thing(stage))} waiting{since}"


def _thing(stage: StageStatus) -> str:
    return WAITING.get(stage.name, "ticket")


def _backlog(stage: StageStatus) -> Iterator[Finding]:
    if stage.lost:
        what = f"{count(stage.lost, _thing(stage))} aged out of the topic before this stage read them"
        yield fail(stage.name, what, "set a longer retention.ms, and start more processes; send what is lost again")
    late = stage.oldest_waiting_s is not None and stage.oldest_waiting_s > BEHIND_S
    if late and stage.processes and stage.moves is not False and stage.breaker != "open" and not stage.disabled:
        more = "start more processes of it, up to kafka.partitions, or give this machine more CPU"
        yield warn(stage.name, f"it is behind{_waits(stage)}", more)


def _destination(stage: StageStatus, now: datetime) -> Iterator[Finding]:
    name = stage.destination
    error = stage.last_error.what if stage.last_error else ""
    if stage.disabled:
        yield fail(
            stage.name, f"{name} is disabled and gets nothing: {stage.disabled}", enable_mend(stage.disabled, name)
        )
    elif stage.breaker == "open":
        since = f" for {span((now - stage.breaker_since).total_seconds())}" if stage.breaker_since else ""
        last = f"; it says: {error}" if error else ""
        yield fail(stage.name, f"{name} is taken to be down{since}{last}{_open(stage)}", mend_of(error, name))
    elif stage.oldest_undelivered_s is not None and stage.oldest_undelivered_s > UNDELIVERED_S:
        what = f"not all tickets arrive{_open(stage)}"
        yield warn(
            stage.name, what, f"`plaint tickets list` shows them and what {name} answers, `plaint doctor` tries it"
        )


def _open(stage: StageStatus) -> str:
    if not stage.open_tickets:
        return ""
    oldest = "" if stage.oldest_undelivered_s is None else f", the oldest for {span(stage.oldest_undelivered_s)}"
    return f"; {count(stage.open_tickets, 'ticket')} not delivered{oldest}"


def _dead(stage: StageStatus, tally: DeadTally) -> Finding:
    what = f"{count(tally.count, 'dead letter')} in the last hour, {tally.reason}: {tally.newest}"
    mend = DEAD_MENDS.get(tally.reason, READ_DEAD) or mend_of(tally.newest, stage.destination)
    gone = tally.reason == "refused" and status_of(tally.newest) == 410
    return (fail if gone else warn)(stage.name, what, mend)


def _versions(status: Status) -> Iterator[Finding]:
    versions = sorted({version for stage in status.stages for version in stage.versions})
    if len(versions) > 1:
        yield warn(
            "plaint", f"processes of several versions run: {', '.join(versions)}", "restart those of the old ones"
        )
