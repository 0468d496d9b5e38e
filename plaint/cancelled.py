"""How a task of asyncio is ended by somebody else."""

import asyncio
from typing import Any


async def cancelled(task: "asyncio.Task[Any]") -> None:
    """Cancel it, and return once it has ended; what it ended with is not told here. Nothing happens to one that has ended."""
    task.cancel()
    await asyncio.wait([task])
