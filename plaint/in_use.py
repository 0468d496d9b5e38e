"""What the processes of this user on this machine have read and work by: one small file each beside those of ``plaint up``.

Written by whoever can read it again while it runs; read by ``plaint reload``, which waits in it for the answer to its signal.
"""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plaint.running import runtime_folder, started_at, write_note

log = logging.getLogger(__name__)


class InUse(BaseModel):
    """What one process works by. ``faults`` are those of the last try to read it again, if it was refused.

    ``tries`` counts the times that it was read again, with or without success. ``version`` is the one in use, in use
    ``since`` then.
    """

    model_config = ConfigDict(frozen=True)

    kind: ClassVar[str]
    """What its files are called by."""
    answers_within_s: ClassVar[float]
    """How long reading it again may take."""

    pid: int = Field(default_factory=os.getpid)
    process_started: str = Field(default_factory=lambda: started_at(os.getpid()) or "")
    version: str
    since: datetime = Field(default_factory=lambda: datetime.now(UTC))
    tries: int = 0
    faults: tuple[str, ...] = ()

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return self.process_started == started_at(self.pid)

    def announce(self) -> None:
        """Let others read it. A folder that can't be written is no reason to stop: it is logged."""
        try:
            write_note(self._name(self.pid), self)
        except OSError as error:
            log.warning("`plaint reload` won't find this process, set PLAINT_RUNTIME_DIR: %s", error)

    def retract(self) -> None:
        """Take the file away."""
        self._file(self.pid).unlink(missing_ok=True)

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """That of one process; None if it says nothing, or is not the one that said it."""
        try:
            file = cls._file(pid)
            found = cls.model_validate_json(file.read_bytes()) if file.stat().st_uid == os.getuid() else None
        except (OSError, ValidationError):
            return None
        return found if found is not None and found.is_alive else None

    @classmethod
    def all(cls) -> list[Self]:
        """Those of every living process of this user. Files of those that were killed are removed."""
        found = []
        for file in runtime_folder().glob(f"{cls.kind}-*.json"):
            pid = file.stem.removeprefix(f"{cls.kind}-")
            known = cls.of(int(pid)) if pid.isdecimal() else None
            if known is not None:
                found.append(known)
            elif pid.isdecimal() and file.stat().st_uid == os.getuid() and started_at(int(pid)) is None:
                file.unlink(missing_ok=True)
        return sorted(found, key=lambda known: known.since)

    @classmethod
    def _name(cls, pid: int) -> str:
        return f"{cls.kind}-{pid}.json"

    @classmethod
    def _file(cls, pid: int) -> Path:
        return runtime_folder() / cls._name(pid)
