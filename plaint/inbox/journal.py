"""The file by which a restarted inbox knows what it took: one event a line, no text of any post.

Lines reach the operating system before the sender gets its answer, so they outlive the process, though not the machine.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from plaint.inbox.store import Event, Store


class JournalDamaged(Exception):
    """A line in the middle of the file is no event: it isn't a journal, or was changed by hand."""


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
        """Write one event."""
        os.write(self._file, orjson.dumps(event) + b"\n")

    def restore(self, store: Store) -> None:
        """Bring ``store`` to where the journal ends and let it record there from now on. Raises JournalDamaged."""
        for event in self._events():
            _replay(store, event)
        store.record = self.append

    def _events(self) -> Iterator[Event]:
        sound = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break  # the process was killed while it wrote this line, so nobody was told that it was taken
                try:
                    event: Event = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise JournalDamaged(f"{self.path}:{number}: {error}") from None
                sound += len(line)
                yield event
        os.truncate(self._file, sound)


def _replay(store: Store, event: Event) -> None:
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
            raise JournalDamaged(f"no event of an inbox: {event}")
