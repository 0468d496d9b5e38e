"""How fast a destination may be asked: requests a minute, and new tickets of one author an hour. What is over waits.

All deliver processes of a destination share both limits without talking to each other: each has the share of the
partitions that it owns. What an earlier owner sent is read from the delivery log, so a restart begins no new minute.
"""

import math
import re
from bisect import bisect_right, insort
from collections.abc import Collection
from heapq import heappop, heappush

import orjson

MINUTE_S = 60.0
HOUR_S = 3600.0
MAX_REMEMBERED = 100_000
"""New tickets of the last hour that are remembered by their author; past that the oldest are forgotten (30 MB)."""

_AUTHOR = re.compile(rb'"author":\{"id":"([^"\\]*)","handle":"([^"\\]*)"')
"""How ``schemas.ticket.Ticket`` writes it. Within a text each quote is escaped, so it can't stand there."""


def author_of(body: bytes) -> bytes:
    """Whose post a ticket (JSON) comes from: the author's id, else the handle, within its network; empty if unknown."""
    found = _AUTHOR.search(body)
    network = _field(body, b"network")
    if found is not None and network is not None:
        name = found[1] or found[2]
    else:  # escapes in it, or written by another version
        fields = orjson.loads(body)
        author = fields.get("author")
        known = author if isinstance(author, dict) else {}  # a record that others wrote to the log may hold anything
        name = str(known.get("id") or known.get("handle") or "").encode()
        network = str(fields.get("network") or "").encode()
    return b"%b\0%b" % (network, name) if name else b""


def _field(body: bytes, name: bytes) -> bytes | None:
    found = re.search(rb'"%b":"([^"\\]*)"' % name, body)
    return None if found is None else found[1]


class RequestLimit:
    """At most ``per_minute`` requests in any minute, counted from when a request begins to a minute after it ended.

    Each of the ``partitions`` has a whole number of the requests, all together ``per_minute``, so what the owners may send
    never adds up to more. With fewer requests than partitions an owner has its share rounded down; one whose share is
    less than one sends one in as many minutes as that asks for. That adds up to no more either, but in a single minute
    each of these may send its one.

    A tenth is kept for urgent tickets. The others go at once until half of the minute's requests are spent, then evenly, so
    that a burst needs no wait and a backlog leaves no long gap. Times are of a clock that only goes forward. What was spent
    is remembered for as long as it may count for the smallest share, since shares change.
    """

    def __init__(self, per_minute: int, partitions: int) -> None:
        self._per_minute = per_minute
        self._partitions = partitions
        self._longest_s = MINUTE_S * max(1.0, partitions / per_minute)
        self._spent: list[float] = []
        self._under_way = 0
        self._last = -math.inf
        self.own(range(partitions))

    def own(self, numbers: Collection[int]) -> None:
        """These partitions are ours from now on."""
        if self._per_minute >= self._partitions:
            whole = sum(self._quota(number) for number in numbers)
        else:
            whole = self._per_minute * len(numbers) // self._partitions
        self._budget = whole or min(1, len(numbers))
        self._window_s = MINUTE_S
        if numbers and not whole:
            self._window_s = MINUTE_S * self._partitions / (self._per_minute * len(numbers))

    def _quota(self, number: int) -> int:
        return self._per_minute * (number + 1) // self._partitions - self._per_minute * number // self._partitions

    def wait_s(self, urgent: bool, now: float) -> float:
        """Seconds until another request may begin; 0: now. Look again after that, and whenever a request has ended."""
        free, begun = self._free(urgent), self.spent(now)
        if begun >= free:
            past = self._past(now)
            return max(self._spent[past] + self._window_s - now, 0.001) if past < len(self._spent) else self._window_s
        if urgent or begun * 2 < free:
            return 0.0
        return max(0.0, self._last + self._window_s / free - now)

    def is_scarce(self, urgent: bool, now: float) -> bool:
        """Whether what is due waits for its turn now, be it for a moment: none is left, or they go evenly."""
        free, begun = self._free(urgent), self.spent(now)
        return begun >= free or (begun * 2 >= free and not urgent)

    def spent(self, now: float) -> int:
        """Requests that count now: those of the last minute, or of the longer time of a share less than one."""
        past = self._past(now)
        return len(self._spent) - past + self._under_way

    def _past(self, now: float) -> int:
        """How many of those that are remembered count no more."""
        del self._spent[: bisect_right(self._spent, now, key=lambda at: at + self._longest_s)]
        return bisect_right(self._spent, now, key=lambda at: at + self._window_s)

    def _free(self, urgent: bool) -> int:
        return self._budget if urgent else self._budget - round(self._budget / 10)

    def began(self, now: float) -> None:
        """A request begins."""
        self._under_way += 1
        self._last = now

    def ended(self, now: float) -> None:
        """It has ended, whether anything was sent or not."""
        self._under_way -= 1
        insort(self._spent, now)

    def remember(self, at: float, now: float) -> None:
        """An earlier owner began a request at ``at``."""
        if at + self._longest_s > now:
            insort(self._spent, min(at, now))


class AuthorLimit:
    """At most ``per_hour`` new tickets of one author in any hour; further tries of one are the same ticket.

    A process has the share of its partitions, rounded up, since it must be able to send one: with several processes an
    author may have up to one more each.
    """

    def __init__(self, per_hour: int, partitions: int) -> None:
        self._per_hour = per_hour
        self._partitions = partitions
        self._share = per_hour
        self._begun: dict[int, dict[str, float]] = {}
        self._order: list[tuple[float, int, str]] = []

    def __len__(self) -> int:
        return len(self._order)

    def own(self, numbers: Collection[int]) -> None:
        """These partitions are ours from now on."""
        self._share = max(1, math.ceil(self._per_hour * len(numbers) / self._partitions))

    def wait_s(self, author: bytes, key: str, now: float) -> float:
        """Seconds until ticket ``key`` of ``author`` may go; 0: now."""
        self._forget(now)
        begun = self._begun.get(hash(author))
        if not author or begun is None or key in begun or len(begun) < self._share:
            return 0.0
        oldest = sorted(begun.values())[-self._share]
        return max(oldest + HOUR_S - now, 0.001)

    def began(self, author: bytes, key: str, at: float) -> None:
        """A new ticket goes out."""
        if not author:
            return
        begun = self._begun.setdefault(hash(author), {})
        if key not in begun:
            begun[key] = at
            heappush(self._order, (at, hash(author), key))
            self._forget(at)

    def _forget(self, now: float) -> None:
        while self._order and (self._order[0][0] + HOUR_S <= now or len(self._order) > MAX_REMEMBERED):
            _, author, key = heappop(self._order)
            begun = self._begun[author]
            del begun[key]
            if not begun:
                del self._begun[author]


class Limits:
    """Both limits of a destination, as far as it has them. At first all partitions are ours."""

    def __init__(self, per_minute: int | None, per_author: int | None, partitions: int) -> None:
        self.per_minute, self.per_author = per_minute, per_author
        self._requests = RequestLimit(per_minute, partitions) if per_minute else None
        self._authors = AuthorLimit(per_author, partitions) if per_author else None

    @property
    def are_set(self) -> bool:
        """Whether there is a limit at all."""
        return self._requests is not None or self._authors is not None

    @property
    def count_authors(self) -> bool:
        """Whether it has to be known who wrote a post."""
        return self._authors is not None

    def own(self, numbers: Collection[int]) -> None:
        """These partitions are ours from now on."""
        for limit in (self._requests, self._authors):
            if limit is not None:
                limit.own(numbers)

    def request_wait_s(self, urgent: bool, now: float) -> float:
        """Seconds until a request may begin; see RequestLimit."""
        return 0.0 if self._requests is None else self._requests.wait_s(urgent, now)

    def is_scarce(self, urgent: bool, now: float) -> bool:
        """Whether what is due waits for the minute's requests; see RequestLimit."""
        return self._requests is not None and self._requests.is_scarce(urgent, now)

    def spent(self, now: float) -> int:
        """Requests of the last minute, if they are counted."""
        return 0 if self._requests is None else self._requests.spent(now)

    def author_wait_s(self, author: bytes, key: str, now: float) -> float:
        """Seconds until a new ticket may go; see AuthorLimit."""
        return 0.0 if self._authors is None else self._authors.wait_s(author, key, now)

    def began(self, author: bytes, key: str, now: float) -> None:
        """A request for ticket ``key`` begins; ``author`` is empty unless it makes a new ticket."""
        if self._requests is not None:
            self._requests.began(now)
        if self._authors is not None:
            self._authors.began(author, key, now)

    def ended(self, now: float) -> None:
        """A request has ended."""
        if self._requests is not None:
            self._requests.ended(now)

    def remember(self, author: bytes, key: str, at: float, now: float) -> None:
        """An earlier owner began a request at ``at``; the log is read in the order of its records."""
        if self._requests is not None:
            self._requests.remember(at, now)
        if self._authors is not None and at + HOUR_S > now:
            self._authors.began(author, key, min(at, now))
