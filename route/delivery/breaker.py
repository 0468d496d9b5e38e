"""The breaker: stops asking a destination that is down, so that an outage costs neither requests nor tries.

It also knows who waited for nothing but the destination, and may go when that is back.
"""

from collections.abc import Callable, Collection
from enum import Enum, auto


class Pass(Enum):
    """Whether a request may start."""

    YES = auto()
    PROBE = auto()
    """One request to see whether the destination is back; tell ``succeeded``, ``failed`` or ``released`` of it."""
    NO = auto()


class Breaker:
    """Opens when requests for ``threshold`` different tickets failed with no success between; a success closes it.

    Different tickets, because one that a receiver chokes on must spend its own tries and not hold up the rest. While
    open it lets one request through every ``probe_s``. Times are in seconds of a clock that only goes forward.

    A ticket that failed twice with no success between waits for the destination and not for a time of its own: a success
    frees it. One that fails while others succeed is not freed: it may be at fault itself, and would spend its tries on
    their success. So may one that failed before this process began. Nor is one that the destination asked to come later.
    """

    def __init__(self, threshold: int, probe_s: float) -> None:
        self._threshold = threshold
        self._probe_s = probe_s
        self._failing: set[str] = set()
        self._waiting: set[str] = set()
        self._freed: set[str] = set()
        self._probing = False
        self.is_open = False
        self.probe_at = 0.0
        """When the next probe may start, while open."""
        self.turned: Callable[[], object] = lambda: None
        """Called when it has opened or closed."""

    def ask(self, now: float) -> Pass:
        """May a request start? A probe that is granted is taken to have started."""
        if not self.is_open:
            return Pass.YES
        if self._probing or now < self.probe_at:
            return Pass.NO
        self._probing = True
        return Pass.PROBE

    @property
    def is_probing(self) -> bool:
        """A probe is under way: nothing starts before it ends."""
        return self._probing

    def succeeded(self) -> None:
        """The destination answered a request as one that works does."""
        self._failing.clear()
        self._freed |= self._waiting
        self._waiting.clear()
        was_open, self.is_open, self._probing = self.is_open, False, False
        if was_open:
            self.turned()

    def failed(self, key: str, now: float, retry_after_s: float = 0.0) -> bool:
        """A request for ticket ``key`` failed; true if this opened the breaker.

        The next probe waits for what the destination asked, also for another ticket.
        """
        if key in self._failing and not retry_after_s:
            self._waiting.add(key)
        else:
            self._waiting.discard(key)
        self._failing.add(key)
        self._freed.discard(key)
        opens = not self.is_open and len(self._failing) >= self._threshold
        probe_at = now + max(self._probe_s, retry_after_s)
        if opens:
            self.is_open, self.probe_at = True, probe_at
            self.turned()
        elif self.is_open:
            self.probe_at = max(self.probe_at, probe_at)
        return opens

    def take_freed(self, under_way: Collection[str]) -> set[str]:
        """The tickets that may go since the destination is back; each is told once.

        One that is ``under_way`` is told later: it failed before that success and its time is only being written down.
        """
        if not self._freed:  # as nearly always, and this is asked after each request
            return set()
        found = self._freed.difference(under_way)
        self._freed -= found
        return found

    def released(self) -> None:
        """A probe has ended, whatever came of it."""
        self._probing = False
