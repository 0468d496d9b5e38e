"""Two processes under one PLAINT_INSTANCE: that they throw each other out is named, a restart under the same name is not."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalGenerationError, KafkaError, NoError, UnknownMemberIdError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from plaint.kafka.namesake import FENCED, _Coordinator
from plaint.workers.delivering.consumer import tickets_consumer
from schemas import topics
from tests.plaint.delivering import kafka_settings, make_topics, until


def named(bootstrap: str, name: str) -> AIOKafkaConsumer:
    """A member of the group of a destination's workers, which all have one name."""
    consumer = tickets_consumer(kafka_settings(bootstrap), name, "pod-0")
    consumer.subscribe([topics.tickets(name)])
    return consumer


async def keep_reading(bootstrap: str, name: str, enough: asyncio.Event) -> None:
    """Read until it is enough; who ends for another reason meanwhile is started again, as an orchestrator does."""
    while not enough.is_set():
        consumer = named(bootstrap, name)
        try:
            with suppress(KafkaError):
                await consumer.start()
                while not enough.is_set():
                    await consumer.getmany(timeout_ms=200)
        finally:
            await consumer.stop()


def said(caplog: pytest.LogCaptureFixture, name: str) -> bool:
    return f"another process of group plaint-deliver-{name} runs with PLAINT_INSTANCE=pod-0" in caplog.text


@pytest.mark.kafka
async def test_two_processes_with_one_name_say_that_there_is_another(
    kafka: str, fresh: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make_topics(kafka, fresh)
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as both:
        for _ in range(2):
            both.create_task(keep_reading(kafka, fresh, enough))
        try:
            await until(lambda: said(caplog, fresh))
        finally:
            enough.set()


@pytest.mark.kafka
async def test_a_process_that_comes_back_under_its_name_says_nothing(
    kafka: str, fresh: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make_topics(kafka, fresh)
    for offset in range(2):
        consumer = named(kafka, fresh)
        await consumer.start()
        await consumer.commit({TopicPartition(topics.tickets(fresh), 0): offset})
        await consumer.stop()
    assert not said(caplog, fresh)


def member(session_s: float, answered_after_s: float = 0.0) -> tuple[_Coordinator, list[int]]:
    """A member of the group of "desk", and the codes of the answers that it is to get."""
    codes: list[int] = []

    async def send(*_: Any, **__: Any) -> Any:
        code = codes.pop(0)
        await asyncio.sleep(answered_after_s if code else 0)
        return SimpleNamespace(error_code=code)

    made = _Coordinator.__new__(_Coordinator)
    made.group_id, made._group_instance_id, made.member_id = "plaint-deliver-desk", "pod-0", "pod-0-1"
    made._session_timeout_ms, made.coordinator_id, made._client = session_s * 1000, 1, SimpleNamespace(send=send)
    return made, codes


def heartbeat(one: _Coordinator) -> HeartbeatRequest:
    return HeartbeatRequest(one.group_id, 1, one.member_id)


async def test_who_is_fenced_before_it_was_counted_in_says_that_there_is_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, codes = member(session_s=60)
    codes += [FENCED]
    await one._send_req(SyncGroupRequest(one.group_id, 1, one.member_id, "pod-0", []))
    assert said(caplog, "desk")


async def test_a_member_whose_sign_of_life_was_on_its_way_for_longer_than_a_session_was_silent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, codes = member(session_s=0.1, answered_after_s=0.2)
    codes += [NoError.errno, UnknownMemberIdError.errno]
    for _ in range(2):
        await one._send_req(heartbeat(one))
    assert not said(caplog, "desk")


async def test_who_asks_before_it_has_joined_again_is_unknown_without_another(caplog: pytest.LogCaptureFixture) -> None:
    one, codes = member(session_s=60)
    codes += [NoError.errno, IllegalGenerationError.errno, UnknownMemberIdError.errno]
    for name in ("pod-0-1", "pod-0-1", ""):  # aiokafka forgets its own after the second answer
        one.member_id = name
        await one._send_req(heartbeat(one))
    assert not said(caplog, "desk")
    codes += [NoError.errno, UnknownMemberIdError.errno]
    for _ in range(2):
        one.member_id = "pod-0-2"
        await one._send_req(heartbeat(one))
    assert said(caplog, "desk")
