"""Logging of every process of plaint: one line a record on stderr, nothing in normal operation but what matters."""

import logging
import os
import sys

from plaint.masking import masked
from schemas.faults import Fault, FaultsFound, one_of, shown

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
NOISY = ("faust", "mode", "aiokafka", "kafka", "asyncio", "aiohttp.access")
"""Libraries whose INFO speaks of their own life."""


class SafeFormatter(logging.Formatter):
    """Masks secrets, and shows control characters of the text of posts as escapes: no record forges a line or a colour."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line, or several where a traceback follows."""
        return escaped(masked(super().format(record)))


def escaped(text: str) -> str:
    """``text`` without what a terminal would obey."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def setup_logging() -> None:
    """Log to stderr at the level of PLAINT_LOG_LEVEL (default INFO). Raises FaultsFound if that is none."""
    level = os.environ.get("PLAINT_LOG_LEVEL", "").upper() or "INFO"
    if level not in LEVELS:
        raise FaultsFound([Fault("PLAINT_LOG_LEVEL", f"{shown(level)} is no level", one_of(level, LEVELS))])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter(FORMAT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
