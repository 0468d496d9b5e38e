"""The end of a process that can't write down what it did."""

import logging
import os
from typing import NoReturn

log = logging.getLogger(__name__)

EXIT_FAILED = 70
"""EX_SOFTWARE of sysexits.h."""


def fatal(error: BaseException) -> NoReturn:
    """Say why and end at once: going on would acknowledge what is not written, and waiting would hide it.

    What was not acknowledged is read again by the next process.
    """
    log.critical("ends at once: %s: %s", type(error).__name__, error, exc_info=error)
    logging.shutdown()
    os._exit(EXIT_FAILED)
