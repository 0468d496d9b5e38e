"""What a deliver process tells while its destination takes tickets, refuses them, and is down."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from plaint.cli import cli
from plaint.kafka.publisher import OutRecord
from plaint.lookup.holds import Clues, destination_holds, look_for_holds
from plaint.monitoring.delivering import DeliverSight, DeliveryMeter, metered, received_at
from plaint.monitoring.monitor import Monitor
from plaint.monitoring.needs import Needs
from plaint.monitoring.settings import MonitoringSettings
from plaint.switches import SwitchState, switch_states
from plaint.workers.deliver import deliver_worker
from plaint.workers.delivering.worker import DeliverWorker
from route.destinations.base import Finds, Idempotency, MaySend, NotNow, Outcome, Parcel, Taken, Withheld
from route.destinations.opening import open_destination
from route.destinations.settings import DestinationSettings
from schemas import topics
from schemas.post import Author
from schemas.ticket import Ticket
from tests.plaint.delivering import (
    OTHER_SECRET,
    SECRET,
    destination,
    kafka_settings,
    make_topics,
    receiving,
    send,
    ticket,
    until,
    write,
)
from tests.plaint.monitoring.asking import Samples, ask, state, told


@pytest.fixture
def name(fresh: str) -> str:
    """A destination of the test's own."""
    return f"desk-{fresh}"


class Told:
    """A worker with its monitor."""

    def __init__(self, worker: DeliverWorker, sight: DeliverSight, address: str) -> None:
        self.worker, self.sight, self.address = worker, sight, address

    async def metrics(self) -> dict[str, Samples]:
        return await asyncio.to_thread(told, self.address)

    async def state(self) -> Any:
        return await asyncio.to_thread(state, self.address)

    async def ready(self) -> bool:
        return (await asyncio.to_thread(ask, self.address, "/readyz"))[0] == 200


@asynccontextmanager
async def telling(bootstrap: str, name: str, url: str, folder: Path, **changed: Any) -> AsyncIterator[Told]:
    """A worker in this process, as ``deliver`` runs it, that tells of itself."""
    settings = DestinationSettings.model_validate(destination(url, **changed))
    meter, stop = DeliveryMeter(), asyncio.Event()
    opened = metered(open_destination(settings, time.time), meter)
    worker = deliver_worker(kafka_settings(bootstrap), name, settings, opened, fatal=lambda error: None)
    file = folder / "address"
    monitor = Monitor(
        "deliver",
        MonitoringSettings(port=0, address_file=file, stall_s=1, on_stall="report"),
        destination=name,
        needs=Needs(group="is joined"),
    )
    with monitor.told():
        sight = DeliverSight(name, worker, meter, monitor.ends)
        monitor.needs.ask("group", sight.in_group)
        monitor.show(sight)
        monitor.watch(kafka_settings(bootstrap), sight)
        running = asyncio.create_task(worker.run(stop))
        try:
            yield Told(worker, sight, file.read_text())
        finally:
            stop.set()
            await running
            await opened.close()


def received(number: int, name: str, seconds_ago: float) -> Ticket:
    """A ticket of a post that was received then."""
    at = datetime.fromtimestamp(time.time() - seconds_ago, UTC)
    return ticket(number, name).model_copy(update={"received_at": at})


async def test_what_becomes_of_tickets_is_told_by_outcome_and_reason(broker: str, name: str, tmp_path: Path) -> None:
    await make_topics(broker, name)
    await write(
        broker, [OutRecord(topics.tickets(name), 0, b"k", b"{}"), OutRecord(topics.tickets(name), 0, b"k", b"y")]
    )
    await send(broker, *(received(n, name, 0.9) for n in range(8)), ticket(3, name), ticket(99, name, "withdraw"))
    answers = {1: 503, 2: 400}
    async with (
        receiving(answer=lambda n: answers.get(n, 200)) as receiver,
        telling(broker, name, receiver.url, tmp_path, concurrency=1) as told,
    ):
        await until(lambda: told.worker.counters.done == 7)
        while len((await told.metrics())["plaint_lag_records"]) < 4:  # noqa: ASYNC110 - it is told over HTTP
            await asyncio.sleep(0.05)
        found, now = await told.metrics(), await told.state()
        assert await told.ready()
    records = {labels: value for labels, value in found["plaint_records_total"].items() if value}
    assert records == {
        ("result", "none"): 7,
        ("dropped", "repeated"): 1,
        ("dropped", "nothing_to_withdraw"): 1,
        ("dead", "refused"): 1,
        ("dead", "invalid_record"): 1,
        ("dead", "invalid_json"): 1,
    }
    assert found["plaint_delivery_attempts_total"] == {("taken",): 7, ("not_now",): 1, ("refused",): 1, ("fault",): 0}
    assert found["plaint_delivery_request_seconds_count"] == {(): 9}
    seconds = found["plaint_post_to_ticket_seconds_bucket"]
    assert (seconds[("0.8",)], seconds[("3600.0",)]) == (0, 7)
    assert found["plaint_lag_records"] == {("0",): 0, ("1",): 0, ("2",): 0, ("3",): 0}
    assert (now["partitions"], now["lag"], now["open_tickets"], now["oldest_undelivered_s"]) == (
        [0, 1, 2, 3],
        0,
        0,
        None,
    )
    assert now["last_error"]["what"] == "the destination answered 400"
    assert now["breaker"] == {"state": "closed", "since": None}


async def test_a_destination_that_is_down_shows_in_breaker_age_and_excuse(
    tansu: str, name: str, tmp_path: Path
) -> None:
    await make_topics(tansu, name)
    await send(tansu, *(received(n, name, 100.0 + n) for n in range(20)))
    async with (
        receiving(answer=lambda _: 503) as receiver,
        telling(tansu, name, receiver.url, tmp_path, breaker_failures=3, max_per_minute=999) as told,
    ):
        assert told.sight.excuse() == ""
        await until(lambda: told.worker.breaker.is_open and len(told.worker.open_since()) == 20)
        found, now = await told.metrics(), await told.state()
        assert told.sight.excuse() == "the destination is down"
        assert found["plaint_breaker_open"] == {(): 1}
        assert 119 <= found["plaint_oldest_undelivered_seconds"][()] < 150
        assert found["plaint_open_tickets"] == {(): 20}
        assert now["breaker"]["state"] == "open"
        assert 119 <= now["oldest_undelivered_s"] < 150
        hold = (await look_for_holds(Clues((told.address,)))).of_destinations([SwitchState(name, None)])[name]
        assert (hold.cause, hold.why) == ("breaker", "the destination answered 503")
        assert now["limits"] == {"max_per_minute": 999, "max_per_author_per_hour": None}
        receiver.answer = lambda _: 200
        await until(lambda: told.worker.counters.done == 20)
        later = await told.state()
        assert later["breaker"]["state"] == "closed"
        assert later["breaker"]["since"] > now["breaker"]["since"]
        assert (later["open_tickets"], later["oldest_undelivered_s"]) == (0, None)


async def test_a_process_that_went_back_to_the_refused_secret_is_said_to_be_off(
    tansu: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, kafka = tmp_path / "secret", kafka_settings(tansu)
    own = {"secret": None, "secret_file": str(file)}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("PLAINT_KAFKA__BROKERS", json.dumps([tansu]))

    def listed(url: str, *ask: str) -> Any:
        monkeypatch.setenv("PLAINT_DESTINATIONS", json.dumps({name: {**destination(url), **own}}))
        done = CliRunner().invoke(cli, ["destination", "list", "--json", *ask])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    async def is_on() -> bool:
        [state] = await switch_states(kafka, [name])
        return state.disabled is None

    file.write_text(SECRET)
    await make_topics(tansu, name)
    await send(tansu, ticket(1, name))
    async with (
        receiving(answer=lambda _: 410) as receiver,
        telling(tansu, name, receiver.url, tmp_path, **own) as told,
    ):
        await until(lambda: told.worker.disabled is not None)
        receiver.answer = lambda _: 200
        file.write_text(f"{OTHER_SECRET}\n{SECRET}")
        await until(lambda: told.worker.counters.done == 1)
        await until(is_on)
        ask = ["--ask", told.address]
        assert (await asyncio.to_thread(listed, receiver.url, *ask))["enabled"]
        file.write_text(SECRET)
        await until(lambda: told.worker.disabled is not None)
        said = await asyncio.to_thread(listed, receiver.url, *ask)
        assert (said["enabled"], said["by"], said["status"]) == (False, "answers", 410)
        [hold] = (await destination_holds(kafka, [name], Clues((told.address,)))).values()
        assert hold.cause == "disabled"


async def test_a_ticket_that_waits_for_its_authors_turn_is_not_late(tansu: str, name: str, tmp_path: Path) -> None:
    await make_topics(tansu, name)
    loud = {"author": Author(id="acct:loud")}
    await send(tansu, *(received(n, name, 4000.0).model_copy(update=loud) for n in range(3)))
    async with (
        receiving() as receiver,
        telling(tansu, name, receiver.url, tmp_path, max_per_author_per_hour=1) as told,
    ):
        await until(lambda: told.worker.counters.done == 1 and told.worker.counters.author_capped == 2)
        found, now = await told.metrics(), await told.state()
        assert found["plaint_open_tickets"] == {(): 2}
        assert found["plaint_oldest_undelivered_seconds"] == {(): 0}
        assert (now["open_tickets"], now["oldest_undelivered_s"]) == (2, None)


@pytest.mark.kafka
async def test_the_age_of_a_ticket_outlives_the_worker(kafka: str, name: str, tmp_path: Path) -> None:
    await make_topics(kafka, name)
    await send(kafka, received(1, name, 500.0))
    async with receiving(answer=lambda _: 503) as receiver:
        for _ in range(2):
            async with telling(kafka, name, receiver.url, tmp_path) as told:
                await until(partial(has_open, told))
                assert 500 <= (await told.state())["oldest_undelivered_s"] < 530


def has_open(told: Told) -> bool:
    return bool(told.worker.open_since())


@pytest.mark.kafka
async def test_a_full_window_is_told_and_is_no_stall(kafka: str, name: str, tmp_path: Path) -> None:
    await make_topics(kafka, name)
    await send(kafka, *(ticket(n, name) for n in range(300)))
    async with (
        receiving(delay_s=30.0) as receiver,
        telling(kafka, name, receiver.url, tmp_path, window=100, concurrency=2, timeout_s=1.0) as told,
    ):
        await until(lambda: told.worker.is_window_full)
        assert told.sight.excuse() == "enough tickets are open"
        assert (await told.metrics())["plaint_delivery_window_full"] == {(): 1}
        read = told.worker.counters.read
        await send(kafka, *(ticket(n, name) for n in range(300, 900)))
        # Nothing is fetched, so only the watchdog, which looks for other reasons, sees how much waits.
        await until(partial(lags_by, told, 900 - read))
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > 2.5)
        now = await told.state()
        assert (now["healthy"], now["window_full"], now["unhealthy_why"]) == (True, True, "")


async def lags_by(told: Told, count: int) -> bool:
    return bool((await told.state())["lag"] == count)


class Desk:
    """A destination that can be asked, and does as it is told."""

    idempotency = Idempotency.FIND
    mark = "m"

    def __init__(self, does: Outcome | Exception) -> None:
        self.does = does

    def refresh(self) -> bool:
        return True

    async def create(self, parcel: Parcel, may_send: MaySend) -> Outcome:
        if isinstance(self.does, Exception):
            raise self.does
        return self.does

    update = withdraw = create

    async def find(self, key: str) -> Taken | NotNow | None:
        return Taken(remote_id=key)

    async def close(self) -> None:
        pass


def parcel(body: bytes = b"{}", op: Any = "create") -> Parcel:
    return Parcel("0" * 32, op, 0, 1, body)


async def test_the_meter_changes_nothing_of_a_destination() -> None:
    meter = DeliveryMeter()
    around = metered(Desk(Taken(201)), meter)
    assert isinstance(around, Finds)
    assert await around.find("k") == Taken(remote_id="k")
    assert (around.idempotency, around.mark, around.refresh()) == (Idempotency.FIND, "m", True)
    assert await around.update(parcel(), lambda: True) == Taken(201)
    assert meter.attempts == {"taken": 1}


async def test_a_request_that_was_not_sent_is_no_attempt_and_a_fault_is_one() -> None:
    meter = DeliveryMeter()
    for error in (Withheld(), RuntimeError("ours")):
        with pytest.raises(type(error)):
            await metered(Desk(error), meter).create(parcel(), lambda: True)
    assert meter.attempts == {"fault": 1}
    assert meter.seconds.cumulated()[-1] == 0


async def test_an_answer_that_quotes_a_post_is_not_repeated() -> None:
    meter = DeliveryMeter()
    await metered(Desk(NotNow("422 text 'my router is dead' is bad", 422)), meter).create(parcel(), lambda: True)
    assert meter.last_error is not None
    assert meter.last_error.what == "the destination answered 422"
    await metered(Desk(NotNow("no answer in time")), meter).create(parcel(), lambda: True)
    assert meter.last_error.what == "the destination: no answer in time"


async def test_the_time_from_a_post_to_its_ticket_is_that_of_its_receipt() -> None:
    meter = DeliveryMeter(now=lambda: 1000.0, steady=lambda: 0.0)
    body = ticket(1, "desk").model_copy(update={"received_at": datetime.fromtimestamp(999.25, UTC)}).to_bytes()
    desk = metered(Desk(Taken(200)), meter)
    await desk.create(parcel(body), lambda: True)
    await desk.withdraw(parcel(body, "withdraw"), lambda: True)
    assert (meter.to_ticket.cumulated()[-1], meter.to_ticket.total) == (1, 0.75)


@pytest.mark.parametrize("text", ['"received_at":"1970-01-01T00:00:00Z"', "\\", '{"received_at": "x"}'])
def test_no_text_of_a_post_passes_for_its_time(text: str) -> None:
    found = Ticket.model_validate(ticket(1, "desk").model_dump() | {"text": text, "received_at": 5.0})
    assert received_at(found.to_bytes()) == 5.0
    assert received_at(ticket(1, "desk").model_copy(update={"text": text}).to_bytes()) is None
    assert received_at(b'{"received_at":"yesterday"}') is None
