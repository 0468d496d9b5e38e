"""What the processes of this user on this machine have read and work by: one small file each beside those of ``plaint up``.

Written by whoever can read it again while it runs; read by ``plaint reload``, which waits in it for the answer to its signal.
"""

import logging
from typing import ClassVar

from plaint.local.running import Note

log = logging.getLogger(__name__)


class InUse(Note):
    """What one process works by. ``faults`` are those of the last try to read it again, if it was refused.

    ``tries`` counts the times that it was read again, with or without success. ``version`` is the one in use, in use
    ``since`` then.
    """

    answers_within_s: ClassVar[float]
    """How long reading it again may take."""

    version: str
    tries: int = 0
    faults: tuple[str, ...] = ()

    def announce(self) -> None:
        """Let others read it. A folder that can't be written is no reason to stop: it is logged."""
        try:
            super().announce()
        except OSError as error:
            log.warning("`plaint reload` won't find this process, set PLAINT_RUNTIME_DIR: %s", error)
