"""A real inbox on a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr

from plaint.inbox.door import Door
from plaint.inbox.faults import Faults
from plaint.inbox.insight import Insight
from plaint.inbox.server import running
from plaint.inbox.settings import InboxSettings
from tests.plaint.inbox.peer import SECRET, Peer, Start
from tests.support.browser import open_browser


@pytest.fixture
def start() -> Start:
    """Starts an inbox with these settings on a free port."""

    @asynccontextmanager
    async def started(door: Door | None = None, insight: Insight | None = None, **settings: Any) -> AsyncIterator[Peer]:
        of_test = InboxSettings(secret=SecretStr(SECRET), **{"port": 0, **settings})
        async with running(of_test, door, insight) as url, aiohttp.ClientSession() as session:
            yield Peer(url, session)

    return started


@pytest.fixture
async def inbox(start: Start) -> AsyncIterator[Peer]:
    """An inbox that is a test receiver."""
    async with start(faults=Faults()) as peer:
        yield peer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    """A headless browser, one for all tests of a file."""
    async with open_browser() as opened:
        yield opened
