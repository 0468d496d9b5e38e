"""What a process still waits for before it can work."""

from collections.abc import Callable
from threading import Lock


class Needs:
    """Named needs with a sentence for each that is not met. Any thread may use it."""

    def __init__(self, **needs: str) -> None:
        """``needs``: what is lacking at first, by name, such as ``kafka="no broker has answered yet"``."""
        self._order = tuple(needs)
        self._lacking = dict(needs)
        self._asked: dict[str, Callable[[], bool]] = {}
        self._lock = Lock()

    def met(self, *names: str) -> None:
        """These are there now."""
        with self._lock:
            for name in names:
                self._lacking.pop(name, None)

    def lack(self, name: str, why: str) -> None:
        """This is not there, or not any more."""
        with self._lock:
            self._lacking[name] = why

    def ask(self, name: str, is_met: Callable[[], bool]) -> None:
        """From now on this is there whenever ``is_met`` says so; any thread may call that."""
        with self._lock:
            self._asked[name] = is_met

    def missing(self) -> tuple[str, ...]:
        """A line for each need that is not met, ``group: waits for its partitions``."""
        with self._lock:
            lacking, asked = dict(self._lacking), dict(self._asked)
        for name in [name for name, is_met in asked.items() if is_met()]:
            lacking.pop(name, None)
        order = (*self._order, *(name for name in lacking if name not in self._order))
        return tuple(f"{name}: {lacking[name]}" for name in order if name in lacking)
