"""A real inbox on a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from plaint.inbox.faults import Faults
from plaint.inbox.server import running
from plaint.inbox.settings import InboxSettings
from tests.plaint.inbox.peer import SECRET, Peer, Start


@pytest.fixture
def start() -> Start:
    """Starts an inbox with these settings on a free port."""

    @asynccontextmanager
    async def started(**settings: Any) -> AsyncIterator[Peer]:
        of_test = InboxSettings(secret=SecretStr(SECRET), **{"port": 0, **settings})
        async with running(of_test) as url, aiohttp.ClientSession() as session:
            yield Peer(url, session)

    return started


@pytest.fixture
async def inbox(start: Start) -> AsyncIterator[Peer]:
    """An inbox that is a test receiver."""
    async with start(faults=Faults()) as peer:
        yield peer
