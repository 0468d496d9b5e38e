"""Folders of temporary files that a process needs for as long as it runs, which may be months.

``systemd-tmpfiles`` removes from /tmp what nobody has touched for days, but passes over a folder that somebody has locked, with
all that is in it (tmpfiles.d(5)).
"""

import contextlib
import fcntl
import os
from functools import cache
from pathlib import Path


@cache
def keep_from_cleaning(folder: Path) -> int:
    """Have ``folder`` and all in it left alone until this process ends: its descriptor, which holds the lock.

    Others may do the same. Raises OSError if the folder can't be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with contextlib.suppress(OSError):  # of a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor
