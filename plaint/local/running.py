"""Where the ``plaint up`` of this user listens, so that ``plaint send``, ``tail`` or ``explain`` find it without being told.

One file a process in a folder that only this user can read: ``PLAINT_RUNTIME_DIR``, else ``plaint`` in
``XDG_RUNTIME_DIR``, else ``plaint-<uid>`` in the folder for temporary files.
"""

import contextlib
import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from psutil import NoSuchProcess, Process
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plaint.kafka.settings import KafkaSettings
from plaint.local.uncleaned import keep_from_cleaning
from schemas.faults import Fault, FaultsFound

if TYPE_CHECKING:
    from plaint.settings import Settings  # costs half a second, which commands that only look for an `up` don't need


class FolderInvalid(FaultsFound):
    """The folder of these files can't be used."""


class Note(BaseModel):
    """What one process tells of itself: a file of its own, which counts while that process runs."""

    model_config = ConfigDict(frozen=True)

    kind: ClassVar[str]
    """What its files are called by."""

    pid: int = Field(default_factory=os.getpid)
    process_started: str = Field(default_factory=lambda: started_at(os.getpid()) or "")
    since: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return self.process_started == started_at(self.pid)

    def announce(self) -> None:
        """Let others read it. Raises OSError if the folder can't be used."""
        write_note(self._name(self.pid), self)

    def retract(self) -> None:
        """Take the file away, if there is one."""
        with contextlib.suppress(OSError):  # else nobody could lay it there either
            (runtime_folder() / self._name(self.pid)).unlink()

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """That of one process; None if it says nothing, or is not the one that said it."""
        found = cls._read(runtime_folder() / cls._name(pid))
        return found if found is not None and found.is_alive else None

    @classmethod
    def all(cls) -> list[Self]:
        """Those of every living process of this user, the oldest first. Files of those that were killed are removed."""
        found, folder = [], runtime_folder()
        for file in folder.glob(f"{cls.kind}-*.json") if folder.is_dir() and _is_ours(folder) else ():
            note = cls._read(file)
            if note is None:
                continue
            if note.is_alive:
                found.append(note)
            else:
                file.unlink(missing_ok=True)
        return sorted(found, key=lambda note: note.since)

    @classmethod
    def _read(cls, file: Path) -> Self | None:
        try:
            return cls.model_validate_json(file.read_bytes()) if file.stat().st_uid == os.getuid() else None
        except (OSError, ValidationError):
            return None

    @classmethod
    def _name(cls, pid: int) -> str:
        return f"{cls.kind}-{pid}.json"


class Running(Note):
    """One ``plaint up``. Addresses are such as ``http://127.0.0.1:8321``, empty where it has none.

    ``kafka`` holds the settings of the embedded broker; with brokers of your own it is None, and your settings tell.
    ``brokers`` are the addresses that it runs on, whosever they are.
    """

    kind: ClassVar[str] = "up"

    kafka: KafkaSettings | None = None
    brokers: tuple[str, ...] = ()
    inbox: str = ""
    door: str = ""
    monitoring: str = ""
    destinations: tuple[str, ...] = ()


def runtime_folder() -> Path:
    """The folder of these files; it may not exist."""
    if named := os.environ.get("PLAINT_RUNTIME_DIR"):
        return Path(named)
    if shared := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(shared) / "plaint"
    return _shared_by_all() / f"plaint-{os.getuid()}"


def _shared_by_all() -> Path:
    """The folder for temporary files. Where none can be written, as in a container that is read-only, it is none at all."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(os.devnull)


def _is_ours(folder: Path) -> bool:
    """Whether it is this user's. In /tmp anybody can lay a link to one that is under a name that is known beforehand."""
    found = folder.lstat() if folder.parent == _shared_by_all() else folder.stat()
    return found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode)


def write_note(name: str, content: BaseModel) -> None:
    """Put a file there, whole or not at all; it stays while this process runs. Raises OSError if the folder can't be used."""
    folder = runtime_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_ours(folder):
        raise PermissionError(errno.EPERM, "belongs to somebody else", str(folder))
    keep_from_cleaning(folder)
    file, draft = folder / name, folder / f".{name}"
    draft.touch(mode=0o600)
    draft.write_text(content.model_dump_json())
    draft.replace(file)


@contextlib.contextmanager
def announced(
    kafka: KafkaSettings | None,
    *,
    brokers: tuple[str, ...] = (),
    inbox: str = "",
    door: str = "",
    monitoring: str = "",
    destinations: tuple[str, ...] = (),
) -> Iterator[Running]:
    """Let others find this process while the context lasts. Raises FolderInvalid."""
    running = Running(
        kafka=kafka, brokers=brokers, inbox=inbox, door=door, monitoring=monitoring, destinations=destinations
    )
    try:
        running.announce()
    except OSError as error:
        what = f"can't be used as the folder of what runs: {error.strerror}"
        mend = "set PLAINT_RUNTIME_DIR to a folder of this user"
        raise FolderInvalid([Fault(str(runtime_folder()), what, mend)]) from error
    try:
        yield running
    finally:
        running.retract()


def find_running() -> Running | None:
    """The youngest ``plaint up`` of this user that still runs."""
    return next(reversed(Running.all()), None)


def running_on(brokers: Iterable[str]) -> Running | None:
    """The youngest ``plaint up`` of this user that runs on any of these brokers."""
    wanted = set(map(_plain, brokers))
    found = (running for running in reversed(Running.all()) if not wanted.isdisjoint(map(_plain, running.brokers)))
    return next(found, None)


def _plain(broker: str) -> str:
    """Its address, with one name for this machine."""
    host, _, port = broker.rpartition(":")
    return f"{'127.0.0.1' if host == 'localhost' else host}:{port}"


def running_at_hand(settings: "Settings") -> Running | None:
    """The ``plaint up`` that these settings are about: one on their brokers, or any where they name none."""
    return running_on(settings.kafka.brokers) if settings.kafka.brokers else find_running()


def kafka_at_hand(settings: "Settings") -> KafkaSettings:
    """The Kafka that these settings name, else that of the ``plaint up`` that runs here. Raises SettingsInvalid."""
    from plaint.settings import SettingsInvalid

    if settings.kafka.brokers:
        return settings.kafka
    running = find_running()
    if running is not None and running.kafka is not None:
        return running.kafka
    mend = "name your brokers there, or start `plaint up` in another terminal"
    raise SettingsInvalid([Fault("kafka.brokers", "is empty, and no `plaint up` of this user is running", mend)])


def destinations_at_hand(settings: "Settings") -> tuple[str, ...]:
    """Ids of the destinations: those of the settings and of the ``plaint up`` that runs here on their brokers."""
    running = running_at_hand(settings)
    return tuple(dict.fromkeys([*settings.destinations, *(running.destinations if running else ())]))


def started_at(pid: int) -> str | None:
    """When this process started: with its pid that tells it from every other. None if it is gone.

    On Linux that counts from the machine's own start, so that no step of its clock makes another process of it.
    """
    try:
        if sys.platform != "linux":
            return str(Process(pid).create_time())
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None
    return f"{fields[19]} {_boot()}"  # the 22nd of all; the second one, a name in brackets, may hold anything


@cache
def _boot() -> str:
    """Which start of this machine it is, empty where Linux doesn't tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
