"""How a command fails: what is expected ends in clear lines and a documented exit code, never in a traceback."""

import errno
import logging
from typing import TypeGuard

from schemas.faults import FaultsFound, Unavailable, Unusable

log = logging.getLogger(__name__)

EXIT_USAGE = 2
"""Wrong usage, settings, routes, topics, rights or weights: a restart won't mend it."""
EXIT_UNAVAILABLE = 69
"""The broker, a source or a port can't be had now (EX_UNAVAILABLE of sysexits.h)."""
EXIT_FAILED = 70
"""The program itself failed (EX_SOFTWARE)."""
EXIT_INTERRUPTED = 130
"""Ended by Ctrl-C, or by a signal before the work was done."""

CODES = {
    0: "All is well.",
    1: "Something was lost, a line could not be read, only the routes have faults, a running plaint refused a model, a model "
    "got worse in training, `status`, `doctor` or `topics` named what is wrong, nothing is known or held of what was asked "
    "for, a post or a record was refused or not sent, or a route is not as expected.",
    EXIT_USAGE: "Wrong usage, settings, routes, topics, rights or weights: a restart won't mend it.",
    EXIT_UNAVAILABLE: "The broker, a source or a port can't be had now, a disk is full, Kafka did not take a post from "
    "ingest, or nobody runs who could be told.",
    EXIT_FAILED: "The program failed, or Kafka did not take a result: what was not acknowledged is read again.",
    EXIT_INTERRUPTED: "Ended before it was done.",
}


def tell(error: Exception) -> tuple[int, list[str]]:
    """The exit code, and the lines for the person. What nobody expected is logged with its traceback."""
    if isinstance(error, FaultsFound):
        count = len(error.faults)
        return EXIT_USAGE, [f"plaint: {count} fault{'s' * (count > 1)}", *(f"  {fault}" for fault in error.faults)]
    if isinstance(error, Unusable):
        return EXIT_USAGE, [f"plaint: {error}"]
    if isinstance(error, _refused()):
        return EXIT_USAGE, [
            f"plaint: Kafka refuses it: {error}; `plaint doctor rights` names the right that is missing"
        ]
    if isinstance(error, (Unavailable, _away())):
        return EXIT_UNAVAILABLE, [f"plaint: {error}"]
    if is_full(error):
        where = error.filename or "what it writes to"
        return EXIT_UNAVAILABLE, [f"plaint: {where}: {error.strerror}; make room and run it again"]
    log.critical("plaint failed", exc_info=error)
    return EXIT_FAILED, []


def is_full(error: Exception) -> TypeGuard[OSError]:
    """Whether there was no room on a disk, which may be that of stdout."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _refused() -> tuple[type[Exception], ...]:
    from aiokafka import errors  # here, since the commands that need no Kafka get by without it

    return (
        errors.TopicAuthorizationFailedError,
        errors.GroupAuthorizationFailedError,
        errors.ClusterAuthorizationFailedError,
    )


def _away() -> type[Exception]:
    from aiokafka.errors import KafkaConnectionError

    found: type[Exception] = KafkaConnectionError
    return found
