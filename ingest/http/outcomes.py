"""How a request to the door may end: every status that it answers, and why it refuses."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol


class Refusal(StrEnum):
    """Why a request is refused; STATUS has what is answered."""

    UNREADABLE = "unreadable"
    INVALID_POST = "invalid_post"
    UNAUTHORIZED = "unauthorized"
    WEB_PAGE = "web_page"
    UNKNOWN_PAGE = "unknown_page"
    METHOD = "method"
    SLOW_BODY = "slow_body"
    LARGE_BODY = "large_body"
    LARGE_POST = "large_post"
    CONTENT_TYPE = "content_type"
    EXPECTATION = "expectation"
    HOST = "host"
    MANY_BODIES = "many_bodies"
    MANY_UNACKNOWLEDGED = "many_unacknowledged"
    FAILED = "failed"
    LATE_ACKNOWLEDGEMENT = "late_acknowledgement"
    """It was sent, and may still be written."""
    NO_ACKNOWLEDGEMENT = "no_acknowledgement"
    """What came before waits already for so long that it was not sent."""
    BROKEN = "broken"
    """Kafka refused a record for good: the process ends."""


STATUS = {
    Refusal.UNREADABLE: HTTPStatus.BAD_REQUEST,
    Refusal.INVALID_POST: HTTPStatus.BAD_REQUEST,
    Refusal.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    Refusal.WEB_PAGE: HTTPStatus.FORBIDDEN,
    Refusal.UNKNOWN_PAGE: HTTPStatus.NOT_FOUND,
    Refusal.METHOD: HTTPStatus.METHOD_NOT_ALLOWED,
    Refusal.SLOW_BODY: HTTPStatus.REQUEST_TIMEOUT,
    Refusal.LARGE_BODY: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Refusal.LARGE_POST: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Refusal.CONTENT_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Refusal.EXPECTATION: HTTPStatus.EXPECTATION_FAILED,
    Refusal.HOST: HTTPStatus.MISDIRECTED_REQUEST,
    Refusal.MANY_BODIES: HTTPStatus.TOO_MANY_REQUESTS,
    Refusal.MANY_UNACKNOWLEDGED: HTTPStatus.TOO_MANY_REQUESTS,
    Refusal.FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
    Refusal.LATE_ACKNOWLEDGEMENT: HTTPStatus.SERVICE_UNAVAILABLE,
    Refusal.NO_ACKNOWLEDGEMENT: HTTPStatus.SERVICE_UNAVAILABLE,
    Refusal.BROKEN: HTTPStatus.SERVICE_UNAVAILABLE,
}
BY_SERVER: Mapping[int, Refusal] = {
    STATUS[why]: why for why in (Refusal.UNKNOWN_PAGE, Refusal.METHOD, Refusal.LARGE_BODY, Refusal.EXPECTATION)
}
"""What aiohttp refuses by itself, by its status."""
NONE = "none"
"""Instead of a refusal, where there is none."""
ANSWERS = (
    (str(HTTPStatus.OK.value), NONE),
    (str(HTTPStatus.ACCEPTED.value), NONE),
    *((str(status.value), why.value) for why, status in STATUS.items()),
)
"""Every status that can be answered, with each reason for it."""


class Meter(Protocol):
    """Counts for the door; called from its event loop."""

    def answered(self, status: int, why: str) -> None:
        """A request has come to its end; ``why`` is a Refusal, or NONE."""
        ...

    def acknowledged(self, posts: int, seconds: float) -> None:
        """Kafka has all posts of a request, so long after the request's head had come."""
        ...
