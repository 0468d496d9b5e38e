"""Sends what somebody typed to the HTTP door, as any other program would."""

from http import HTTPStatus

import aiohttp
import orjson
from pydantic import SecretStr

from ingest.http.settings import POSTS_PATH
from plaint.inbox.cards import visible

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 16 * 1024
MAX_DETAIL_CHARS = 300


class DoorClosed(Exception):
    """The door did not take the post; the text says why and may be shown. ``status`` is what to answer with."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Door:
    """The door at ``address``, ``http://127.0.0.1:8320``; ``token`` is its bearer token if it wants one."""

    def __init__(self, address: str, token: SecretStr | None = None) -> None:
        self._url = address.rstrip("/") + POSTS_PATH
        self._headers = {"Content-Type": "application/json"}
        if token is not None and token.get_secret_value():
            self._headers["Authorization"] = f"Bearer {token.get_secret_value()}"

    async def send(self, post: dict[str, object]) -> None:
        """Return once the door has taken ``post``, which is when Kafka has it. Raises DoorClosed."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(
                    self._url, data=orjson.dumps(post), headers=self._headers, allow_redirects=False
                ) as answer,
            ):
                if answer.status != HTTPStatus.ACCEPTED:
                    raise DoorClosed(*_refusal(answer.status, await answer.content.read(MAX_ANSWER_BYTES)))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DoorClosed(503, f"The door at {self._url} does not answer ({type(error).__name__}).") from None


def _refusal(status: int, body: bytes) -> tuple[int, str]:
    """What to answer for the door's answer: its refusal of the post as it is, anything else as our own trouble."""
    try:
        detail = str(orjson.loads(body)["detail"])[:MAX_DETAIL_CHARS]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        detail = ""
    said = f"The door did not take it (status {status})" + (f": {visible(detail)}" if detail else ".")
    return status if status in (400, 413, 422, 429, 503) else 502, said
