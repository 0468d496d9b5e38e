"""Receivers that answer without end: each costs one outcome, little time and little memory."""

import asyncio
import gzip
import time
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest

from route.destinations.base import NotNow, Outcome
from tests.route.destinations.test_webhook import post, talking

TIMEOUT_S = 0.5
LATE_S = 10
"""What a busy machine may add, on which whoever floods takes his share."""
MAX_MB = 24
"""What one answer may take in memory while it comes: buffers of a few times what is read, and no more."""
BOMB = gzip.compress(b"0" * 50_000_000)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


async def for_ever(writer: asyncio.StreamWriter, chunk: bytes, pause_s: float = 0.0) -> None:
    while True:
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(pause_s)


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def answered(answer: Answer) -> tuple[Outcome, float, float]:
    """What comes of it, the seconds and the megabytes that it took."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await answer(writer)

    async with talking(talk) as url:
        await asyncio.sleep(0)
        tracemalloc.start()
        began = time.monotonic()
        try:
            outcome = await post(url, timeout_s=TIMEOUT_S)
            return outcome, time.monotonic() - began, tracemalloc.get_traced_memory()[1] / 1e6
        finally:
            tracemalloc.stop()


async def endless_body(writer: asyncio.StreamWriter) -> None:
    await for_ever(writer, OK + b"\r\n" + b"x" * 65536)


async def endless_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    await for_ever(writer, b"10000\r\n" + b"x" * 65536 + b"\r\n")


async def one_endless_chunk(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")
    await for_ever(writer, b"x" * 65536)


async def tiny_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    await for_ever(writer, b"1\r\nx\r\n" * 5000)


async def chunk_extensions(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n1;")
    await for_ever(writer, b"a" * 65536)


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await for_ever(writer, b"".join(b"X-%d: %b\r\n" % (n, b"y" * 1000) for n in range(64)))


async def one_endless_header(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"X-Long: ")
    await for_ever(writer, b"y" * 65536)


async def endless_status_line(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 ")
    await for_ever(writer, b"y" * 65536)


async def interim_answers(writer: asyncio.StreamWriter) -> None:
    await for_ever(writer, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000)


async def continues(writer: asyncio.StreamWriter) -> None:
    await for_ever(writer, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


async def trailers(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    await for_ever(writer, b"".join(b"X-%d: %b\r\n" % (n, b"y" * 1000) for n in range(64)))


async def drips_of_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await for_ever(writer, b"X: y\r\n", 0.05)


async def drips_of_body(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Length: 1000000\r\n\r\n")
    await for_ever(writer, b"x", 0.05)


async def gzip_bomb(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)
    await writer.drain()


async def more_than_one_answer(writer: asyncio.StreamWriter) -> None:
    await for_ever(writer, (OK + b"Content-Length: 0\r\n\r\n") * 1000)


WITHOUT_END = [
    endless_body,
    endless_chunks,
    one_endless_chunk,
    tiny_chunks,
    chunk_extensions,
    endless_headers,
    one_endless_header,
    endless_status_line,
    interim_answers,
    continues,
    trailers,
    drips_of_headers,
    drips_of_body,
    gzip_bomb,
    more_than_one_answer,
]


@pytest.mark.parametrize("answer", WITHOUT_END, ids=lambda answer: answer.__name__)
async def test_an_answer_without_end_costs_little(answer: Answer) -> None:
    outcome, seconds, megabytes = await answered(answer)
    assert seconds < TIMEOUT_S + LATE_S
    assert megabytes < MAX_MB
    if isinstance(outcome, NotNow):
        assert outcome.maybe_taken
        assert len(outcome.detail) < 400
