"""The inbox as a process: where it listens, how it ends, and what a kill leaves."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr, ValidationError

from ingest.http.listening import CannotListen
from plaint.inbox.server import running
from plaint.inbox.settings import DEFAULT_PORT, InboxSettings
from tests.plaint.inbox.peer import SECRET, Peer, Start

PROGRAM = """
import sys, uvloop
from plaint.inbox.server import serve
from plaint.inbox.settings import InboxSettings
settings = InboxSettings.model_validate_json(sys.argv[1])
uvloop.run(serve(settings, lambda url: print(url, flush=True)))
"""


@asynccontextmanager
async def inbox_process(journal: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """An inbox of its own, killed at the end, and its address."""
    settings = json.dumps({"secret": SECRET, "port": 0, "journal": str(journal)})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, settings, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process, (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_ends_cleanly_on_sigterm_though_a_line_is_open(tmp_path: Path) -> None:
    async with inbox_process(tmp_path / "journal") as (process, url), aiohttp.ClientSession() as session:
        assert (await Peer(url, session).send())[0] == 201
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 60)
        assert (process.returncode, errors) == (0, b"")


async def test_an_inbox_that_was_killed_knows_every_id_that_it_answered(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with inbox_process(journal) as (process, url), aiohttp.ClientSession() as session:
        assert (await Peer(url, session).send(webhook_id="msg_1"))[0] == 201
        os.kill(process.pid, signal.SIGKILL)
    async with inbox_process(journal) as (_, url), aiohttp.ClientSession() as session:
        assert (await Peer(url, session).send(webhook_id="msg_1"))[0] == 200


async def test_two_inboxes_started_alike_both_find_a_port(start: Start) -> None:
    async with start(port=None) as one, start(port=None) as other:
        assert one.url != other.url
        for inbox in (one, other):
            assert (await inbox.get("/api/stats"))["taken"] == 0


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        settings = InboxSettings(secret=SecretStr(SECRET), port=taken.getsockname()[1])
        with pytest.raises(CannotListen, match=r"in use; .* set inbox\.port"):
            async with running(settings):
                raise AssertionError("it must not start")


async def test_it_listens_on_loopback_unless_told_otherwise(start: Start) -> None:
    async with start() as inbox:
        assert inbox.url.startswith("http://127.0.0.1:")
    assert DEFAULT_PORT > 1024
    async with start(host="::1") as inbox:
        assert inbox.url.startswith("http://[::1]:")
        assert (await inbox.send())[0] == 201
        assert "Helpdesk" in (await inbox.page()).title()


def test_settings_refuse_a_bad_secret_and_unknown_keys_and_never_show_the_secret() -> None:
    with pytest.raises(ValidationError, match="whsec_") as bad:
        InboxSettings(secret=SecretStr("geheim-geheim-geheim"))
    assert "geheim" not in str(bad.value)
    with pytest.raises(ValidationError, match="Extra inputs"):
        InboxSettings.model_validate({"secret": SECRET, "prot": 1})
    assert SECRET not in repr(InboxSettings(secret=SecretStr(SECRET)))
