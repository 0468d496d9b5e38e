"""The file by which a restarted inbox knows what it took: one event a line, no text of any post.

Lines reach the operating system before the sender gets its answer, so they outlive the process, though not the machine.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from plaint.inbox.store import Event, Store
from schemas.faults import Unusable


class JournalDamaged(Unusable):
    """A line in the middle of the file is no event: it isn't a journal, or was changed by hand. Says which, and the mend."""


class Journal:
    """The journal at ``path``, made if there is none. Raises OSError where it can't be opened or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)

    def append(self, event: Event) -> None:
        """Write one event, or nothing: then it raises OSError, so that the sender is told to come again."""
        line = orjson.dumps(event) + b"\n"
        written = os.write(self._file, line)
        if written < len(line):  # on a full disk; half a line would swallow the next one
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def restore(self, store: Store) -> None:
        """Bring ``store`` to where the journal ends and let it record there from now on. Raises JournalDamaged."""
        for number, event in self._events():
            if not _replay(store, event):
                raise self._damaged(number, "no event of an inbox")
        store.record = self.append

    def _events(self) -> Iterator[tuple[int, Event]]:
        sound = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break  # the process was killed while it wrote this line, so nobody was told that it was taken
                try:
                    event: Event = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise self._damaged(number, str(error)) from None
                sound += len(line)
                yield number, event
        os.truncate(self._file, sound)

    def _damaged(self, number: int, what: str) -> JournalDamaged:
        mend = "take that line out, or move the file away: then the inbox knows nothing of what it took before"
        return JournalDamaged(f"{self.path}:{number}: {what}; {mend}")


def _replay(store: Store, event: Event) -> bool:
    """False if it is none."""
    match event:
        case {"event": "request", "queue": str(queue), "id": str(webhook_id), "at": float(at)}:
            store.begin(queue, webhook_id, at)
        case {
            "event": "take",
            "queue": str(queue),
            "id": str(webhook_id),
            "at": float(at),
            "key": str(key),
            "op": "create" | "update" | "withdraw" as op,
            "revision": int(revision),
        }:
            store.take(queue, webhook_id, key, op, revision, at)
        case {"event": "not_answered", "id": str(webhook_id)} if webhook_id in store.receipts:
            store.not_answered(store.receipts[webhook_id])
        case _:
            return False
    return True
