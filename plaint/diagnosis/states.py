"""What processes say of themselves at ``/state``."""

import asyncio
from collections.abc import Iterable

import aiohttp
import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from plaint.monitoring.state import ChildState, RunState, StageState

ANSWER_S = 3.0


class Told(BaseModel):
    """Everything that was told.

    ``children`` are those of a ``plaint up``; ``silent`` has addresses, and why they said nothing.
    """

    model_config = ConfigDict(frozen=True)

    stages: tuple[StageState, ...] = ()
    children: tuple[ChildState, ...] = ()
    silent: dict[str, str] = {}


async def ask(addresses: Iterable[str]) -> Told:
    """Ask all of these, ``http://127.0.0.1:8322``, at once; takes 3 s at most."""
    where = [address.rstrip("/").removesuffix("/state") for address in dict.fromkeys(addresses) if address]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session:
        answers = await asyncio.gather(*(_one(session, address) for address in where))
    told = Told()
    for address, answer in zip(where, answers, strict=True):
        told = _with(told, address, answer)
    return told


async def _one(session: aiohttp.ClientSession, address: str) -> RunState | StageState | str:
    """What it is, or why that is not known."""
    try:
        async with session.get(f"{address}/state", allow_redirects=False) as answer:
            if answer.status != 200:
                return f"it answers {answer.status}"
            said = orjson.loads(await answer.read())
            kind = RunState if isinstance(said, dict) and said.get("kind") == "up" else StageState
            return kind.model_validate(said)
    except TimeoutError:
        return f"no answer within {ANSWER_S:g} s"
    except (aiohttp.ClientError, OSError) as error:
        return f"no connection: {error}"
    except (orjson.JSONDecodeError, ValidationError):
        return "its answer is no state of plaint's"


def _with(told: Told, address: str, answer: RunState | StageState | str) -> Told:
    if isinstance(answer, str):
        return told.model_copy(update={"silent": {**told.silent, address: answer}})
    if isinstance(answer, StageState):
        return told.model_copy(update={"stages": (*told.stages, answer)})
    stages = tuple(child.state for child in answer.children if child.state is not None)
    return told.model_copy(update={"children": (*told.children, *answer.children), "stages": (*told.stages, *stages)})
