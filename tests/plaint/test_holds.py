"""What keeps a ticket back is told wherever somebody asks why there is none: a destination that is off or down, a limit."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from plaint.cli import cli
from plaint.kafka.publisher import Publisher
from plaint.lookup.explain import explain
from plaint.lookup.hold_words import hold_words
from plaint.lookup.holds import Caps, Clues, Holds
from plaint.lookup.tickets import WantedTickets, list_tickets, show_tickets
from plaint.monitoring.state import StageState
from plaint.switches import SwitchState, turn, write_switch
from route.delivery.switch import Disabled, Word
from route.rules import RouteTable
from schemas import topics
from schemas.post import Author
from schemas.reasons import DeadReason
from tests.plaint.delivering import (
    SECRET,
    delivering,
    kafka_settings,
    make_topics,
    partition_of,
    receiving,
    send,
    ticket,
    until,
    write,
)
from tests.plaint.looking import AT, Log, asked, letter, post, ticket_of, triage

GONE = Disabled("it answered that it is gone: 410 moved\x1b[31m away", AT, 410, "mark")
SINCE = "2026-05-01 12:00:00Z"


@pytest.fixture
def name(fresh: str) -> str:
    """A destination of the test's own."""
    return f"desk-{fresh}"


def routes_to(name: str) -> dict[str, Any]:
    return {"rules": [{"name": "all", "why": "All of it.", "destinations": [name]}]}


async def turn_off(broker: str, name: str, word: Word) -> None:
    """As a worker does whose destination refused."""
    publisher = Publisher(kafka_settings(broker))
    await publisher.start()
    await write_switch(publisher, name, word, AT)
    await publisher.stop()


async def test_a_destination_that_a_person_turned_off_is_named_by_all_that_look_at_its_tickets(
    broker: str, name: str, tmp_path: Path
) -> None:
    await make_topics(broker, name)
    kafka, id_ = kafka_settings(broker), f"x:{name}"
    one, dead = ticket_of(id_, name), ticket_of(f"x:dead-{name}", name)
    delivered = ticket_of(f"x:done-{name}", name)
    logs = [Log(one).open(), Log(dead).end("dead"), Log(delivered).end()]
    await write(broker, [post(id_), triage(id_), asked(one), *logs])
    (tmp_path / "routes.yaml").write_text(json.dumps(routes_to(name)))
    table = RouteTable.load(tmp_path / "routes.yaml", [name])
    every = WantedTickets(("open", "dead", "done"))

    await turn(kafka, name, "moving house")
    rows, _, off = await list_tickets(kafka, [name], every)
    held = {row.key: row.hold for row in rows}
    hold = held[one.key]
    assert hold is not None
    assert (hold.cause, hold.by, hold.why, hold.status) == ("disabled", "person", "moving house", None)
    assert hold.since is not None
    assert abs((datetime.now(UTC) - hold.since).total_seconds()) < 60
    assert hold.mend == f"once that is over `plaint destination enable {name}` sends again"
    assert held == {one.key: hold, dead.key: hold, delivered.key: None}
    assert off == {name: hold}
    assert [life.hold for life in await show_tickets(kafka, [name], id_)] == [hold]
    told = await explain(kafka, [name], table, id_)
    assert told.summary.endswith(f"; {name}: open, waiting; {hold_words(hold)}")
    assert f"{name}: {hold.mend}" in told.check
    assert not any("tickets retry" in line for line in told.check), "that would not help"

    await turn(kafka, name, None)
    assert [life.hold for life in await show_tickets(kafka, [name], id_)] == [None]
    told = await explain(kafka, [name], table, id_)
    assert f"{name}: open, next try {SINCE[:-1]}.000Z" in told.summary


async def test_a_post_whose_ticket_was_not_made_yet_hears_of_the_disabled_destination_too(
    tansu: str, name: str, tmp_path: Path
) -> None:
    await make_topics(tansu, name)
    id_, other = f"x:{name}", f"not-{name}"
    await write(tansu, [post(id_), triage(id_)])
    for one in (name, other):
        await make_topics(tansu, one)
        await turn_off(tansu, one, GONE)
    (tmp_path / "routes.yaml").write_text(json.dumps(routes_to(name)))
    told = await explain(
        kafka_settings(tansu), [name, other], RouteTable.load(tmp_path / "routes.yaml", [name, other]), id_
    )
    assert [life.hold is None for life in told.tickets] == [False, True], "it does not go to the other one"
    (line,) = [line for line in told.check if f"plaint destination enable {name}" in line]
    assert line.startswith(f"{name} is disabled since {SINCE}: it answered that it is gone: 410")


# -- the commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tansu: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A command in this process, asked of the embedded broker."""
    (tmp_path / "routes.yaml").write_text(json.dumps(routes_to(name)))
    settings = {
        "KAFKA__BROKERS": json.dumps([tansu]),
        "KAFKA__IDEMPOTENT_PRODUCER": "false",
        "DESTINATIONS": json.dumps({name: {"url": "http://127.0.0.1:9/hook", "secret": SECRET}}),
        "ROUTE__ROUTES": str(tmp_path / "routes.yaml"),
        "RUNTIME_DIR": str(tmp_path / "run"),
    }
    monkeypatch.chdir(tmp_path)
    for key, value in settings.items():
        monkeypatch.setenv(f"PLAINT_{key}", value)

    def invoke(*words: str) -> Result:
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0, done.output
        assert "\x1b" not in done.output
        return done

    return invoke


@pytest.fixture
async def gone(tansu: str, name: str) -> None:
    """The destination answered 410: a ticket waits, another one is dead and has its letter."""
    await make_topics(tansu, name)
    one, dead = ticket_of(f"x:{name}", name), ticket_of(f"x:dead-{name}", name)
    place = f"{topics.deliveries(name)}[{partition_of(dead.key)}]@5"
    buried = letter(place, dead.to_bytes(), dead.key.encode(), "deliver", DeadReason.REFUSED)
    await write(tansu, [asked(one), Log(one).open(), asked(dead), Log(dead).end("dead"), buried])
    await turn_off(tansu, name, GONE)


@pytest.mark.usefixtures("gone")
def test_the_commands_say_since_when_why_and_what_to_do(run: Callable[..., Result], name: str) -> None:
    why = f"{name} is disabled since {SINCE}: it answered that it is gone: 410 moved\\x1b[31m away"
    mend = f"`plaint destination enable {name}` sends again"
    key = ticket_of(f"x:{name}", name).key

    listed = run("tickets", "list")
    row = next(line for line in listed.stdout.splitlines() if line.startswith(key))
    assert f"waiting: {name} is disabled" in row
    assert why in listed.stderr
    assert mend in listed.stderr
    assert why in run("tickets", "list", "--state", "done").stderr, "also where no ticket is listed"

    for words in (("tickets", "show", key), ("explain", f"x:{name}")):
        said = run(*words).stdout
        assert f"{name}: open, waiting; {why}" in said
        assert mend in said


@pytest.mark.usefixtures("gone")
def test_what_is_sent_again_to_a_disabled_destination_is_said_to_wait(run: Callable[..., Result], name: str) -> None:
    retried = run("tickets", "retry", f"x:{name}")
    assert f"  waiting: {name} is disabled" in retried.stdout
    assert f"`plaint destination enable {name}` sends again" in retried.stderr
    replayed = json.loads(run("dead", "replay", "--place", name, "--force", "--json").stdout)
    assert replayed["sent"] is True
    hold = replayed["hold"]
    assert (hold["cause"], hold["by"], hold["status"], hold["since"]) == (
        "disabled",
        "answers",
        410,
        "2026-05-01T12:00:00Z",
    )


# -- what processes say ------------------------------------------------------------------------------------------------


def state(**fields: Any) -> StageState:
    known = {"stage": "deliver", "destination": "helpdesk", "instance": "a", "pid": 1, "version": "1", "ready": True}
    return StageState.model_validate({**known, "started_at": datetime.now(UTC), "at": datetime.now(UTC), **fields})


def of_helpdesk(disabled: Disabled | None, *states: StageState, refused: Disabled | None = None) -> str:
    switch = SwitchState("helpdesk", disabled, refused)
    hold = Holds(Clues(), states).of_destinations([switch]).get("helpdesk")
    return hold_words(hold) if hold is not None else ""


def test_what_was_refused_at_another_address_does_not_hold_where_a_worker_sends() -> None:
    off = {"disabled": {"why": GONE.reason}}
    assert of_helpdesk(GONE, state()) == ""
    assert of_helpdesk(GONE, state(), state(**off)).startswith("helpdesk is disabled since")
    assert of_helpdesk(GONE, state(destination="service")).startswith("helpdesk is disabled since")
    assert of_helpdesk(None, state(), refused=GONE) == ""
    assert of_helpdesk(None, refused=GONE) == ""
    assert of_helpdesk(None, state(**off), refused=GONE).startswith("helpdesk is disabled since"), (
        "it is back with them"
    )
    assert of_helpdesk(None, state(**off)) == "", "a person has just turned it on"
    by_hand = Disabled("moving", AT)
    assert of_helpdesk(by_hand, state()) == f"helpdesk is disabled by a person since {SINCE}: moving"


def test_an_open_breaker_is_told_with_what_the_destination_says() -> None:
    down = state(
        breaker={"state": "open", "since": datetime.fromtimestamp(AT, UTC)},
        last_error={"at": datetime.now(UTC), "what": "the destination answered 503"},
    )
    said = f"helpdesk is taken to be down since {SINCE}; it says: the destination answered 503"
    assert of_helpdesk(None, state(), down) == said
    assert of_helpdesk(None, state(breaker={"state": "closed"})) == ""


# -- limits ------------------------------------------------------------------------------------------------------------


async def test_what_the_log_tells_of_the_last_hour_and_minute_says_which_limit_a_ticket_waits_for(
    tansu: str, name: str
) -> None:
    await make_topics(tansu, name)
    loud, calm = {"author": {"id": "acct:loud"}}, {"author": {"id": "acct:calm"}}
    sent = [ticket_of(f"x:{n}-{name}", name, **(loud if n < 2 else {})) for n in range(9)]
    capped, other = ticket_of(f"x:capped-{name}", name, **loud), ticket_of(f"x:calm-{name}", name, **calm)
    later, change = ticket_of(f"x:later-{name}", name, **calm), ticket_of(f"x:change-{name}", name, **loud)
    await write(
        tansu,
        [
            *(Log(one).open("sending", 1) for one in sent[:8]),
            *(Log(one).open() for one in (capped, other)),
            Log(later).open(due=AT * 2),
            Log(change).open(op="update"),
        ],
    )

    async def causes(caps: Caps) -> dict[str, str]:
        wanted = WantedTickets(keys=[one.key for one in (capped, other, later, change)])
        rows, *_ = await list_tickets(kafka_settings(tansu), [name], wanted, clues=Clues(caps={name: caps}))
        return {row.key: row.hold.cause for row in rows if row.hold}

    per_author = "max_per_author_per_hour"
    assert await causes(Caps(20, 2)) == {capped.key: per_author}
    assert await causes(Caps(20, 3)) == {}
    await write(tansu, [Log(sent[8]).open("sending", 1)])
    minute = dict.fromkeys([other.key, change.key], "max_per_minute")
    assert await causes(Caps(20, 2)) == {capped.key: per_author, **minute}


@pytest.mark.kafka
async def test_a_ticket_that_a_limit_keeps_back_names_the_limit(kafka: str, name: str) -> None:
    """With a real worker: of one author two may go in an hour, and of all so many in a minute."""
    await make_topics(kafka, name)
    author = Author(id="acct:loud")
    loud = [ticket(n, name).model_copy(update={"author": author}) for n in range(3)]
    limits = {"max_per_minute": 20, "max_per_author_per_hour": 2}
    clues = Clues(caps={name: Caps(20, 2)})

    async def held() -> dict[str, Any]:
        rows, *_ = await list_tickets(kafka_settings(kafka), [name], WantedTickets(), clues=clues)
        return {row.key: row.hold for row in rows}

    async with receiving() as receiver, delivering(kafka, name, receiver.url, **limits) as worker:
        await send(kafka, *loud)
        await until(lambda: worker.counters.author_capped == 1 and worker.counters.done == 2)
        (capped,) = (await held()).values()
        assert capped is not None
        assert capped.cause == "max_per_author_per_hour"
        assert capped.until is not None
        assert 3500 < (capped.until - datetime.now(UTC)).total_seconds() <= 3600
        await send(kafka, *(ticket(n, name) for n in range(10, 40)))
        await until(lambda: worker.counters.read == 33 and worker.counters.done >= 9)
        waiting = {key: hold.cause for key, hold in (await held()).items() if hold is not None}
        causes = list(waiting.values())
        assert causes.count("max_per_author_per_hour") == 1
        assert causes.count("max_per_minute") > 10
        key = next(key for key, cause in waiting.items() if cause == "max_per_minute")
        life = await show_tickets(kafka_settings(kafka), [name], key, clues=clues)
        assert [one.hold and one.hold.cause for one in life] == ["max_per_minute"]
        rows, *_ = await list_tickets(kafka_settings(kafka), [name], WantedTickets())
        assert all(row.hold is None for row in rows), "nobody said that there are limits"
