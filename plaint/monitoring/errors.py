"""Remembers the last thing that went wrong, from what the process logs."""

import logging
from datetime import UTC, datetime

from plaint.logs import escaped
from plaint.monitoring.state import LastError

LONGEST = 300


class ErrorMemory(logging.Handler):
    """Holds the last line of ERROR or worse and how many there were. A traceback is left out: it may quote a post."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0
        self.last: LastError | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Remember this one."""
        self.count += 1
        self.note(record.getMessage(), record.created)

    def note(self, what: str, at: float | None = None) -> None:
        """Remember ``what``, which nobody has to log; ``at`` in seconds since 1970, None for now."""
        moment = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
        line = " ".join(what.split())
        self.last = LastError(at=moment, what=escaped(line[:LONGEST]))
