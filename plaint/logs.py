"""Logging of every process of plaint: one line a record on stderr, nothing in normal operation but what matters."""

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from plaint.masking import masked
from schemas.faults import Fault, FaultsFound, one_of, shown

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
NOISY = ("faust", "mode", "aiokafka", "kafka", "asyncio", "aiohttp.access")
"""Libraries whose INFO speaks of their own life."""
ALARMIST = "kafka.net.selector"
"""kafka-python's event loop: it warns of a blocked loop whenever a step took 0.1 s, as on any busy machine while it starts."""
REPETITIVE = ("aiokafka", "kafka")
"""Libraries that say the same tens of times a second for as long as no broker answers."""
QUIET_S = 10.0
KNOWN = 200
"""So many lines are remembered."""
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class SafeFormatter(logging.Formatter):
    """Masks secrets, and shows control characters of the text of posts as escapes: no record forges a line or a colour."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line, or several where a traceback follows."""
        return escaped(masked(super().format(record)))


@dataclass
class _Said:
    """When a line was let pass the last time, and how often it came since."""

    at: float
    more: int = 0


class Sparing(logging.Filter):
    """Lets each line of a REPETITIVE library pass once in QUIET_S, with how often it came meanwhile."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._now = now
        self._lock = Lock()
        self._said: dict[str, _Said] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it passes."""
        if record.name.partition(".")[0] not in REPETITIVE:
            return True
        line = record.getMessage()
        with self._lock:
            now = self._now()
            said = self._said.pop(line, None)
            if said is not None and 0 <= now - said.at < QUIET_S:
                said.more += 1
                self._said[line] = said
                return False
            self._said[line] = _Said(now)
            if len(self._said) > KNOWN:
                del self._said[next(iter(self._said))]
        if said is not None and said.more:
            since = time.strftime("%H:%M:%S", time.localtime(said.at))
            record.msg, record.args = f"{line} ({said.more} times more since {since})", ()
        return True


def escaped(text: str, keep: str = "\n\t") -> str:
    """``text`` with whatever a terminal would obey as an escape (``\\x1b``, ``\\u202e``), but for the signs to ``keep``."""
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def setup_logging() -> None:
    """Log to stderr at the level of PLAINT_LOG_LEVEL (default INFO). Raises FaultsFound if that is none."""
    level = os.environ.get("PLAINT_LOG_LEVEL", "").upper() or "INFO"
    if level not in LEVELS:
        raise FaultsFound([Fault("PLAINT_LOG_LEVEL", f"{shown(level)} is no level", one_of(level, LEVELS))])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter(FORMAT))
    handler.addFilter(Sparing())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(ALARMIST).setLevel(logging.ERROR)
