"""What one deliver process has done so far. Whoever exposes metrics reads these; nothing here is ever reset."""

from collections import Counter
from dataclasses import dataclass, field

from schemas.reasons import DeadReason, DropReason


def _drops() -> Counter[DropReason]:
    return Counter(dict.fromkeys(DropReason, 0))


def _dead() -> Counter[DeadReason]:
    return Counter(dict.fromkeys(DeadReason, 0))


@dataclass(slots=True)
class Counters:
    """Counts since the process started.

    What was read, and what the log held open at the start, is done, dead, dropped, invalid, or still open.
    """

    read: int = 0
    """Records read from the tickets topic."""
    invalid: int = 0
    """Records of the tickets topic that are no ticket: each is a dead letter."""
    invalid_by: Counter[DeadReason] = field(default_factory=_dead)
    """The same by what is wrong with them."""
    dropped: Counter[DropReason] = field(default_factory=_drops)
    """Revisions that asked for nothing new, or were overtaken before the destination took them."""
    requests: int = 0
    """Requests begun, repeats included."""
    probes: int = 0
    """Requests made while the breaker was open: they cost their ticket no try."""
    done: int = 0
    """Revisions that the destination took."""
    dead: Counter[DeadReason] = field(default_factory=_dead)
    """Revisions that the destination will never get."""
    unknown: int = 0
    """Requests of an earlier owner whose outcome nobody knows, found in the log."""
    withheld: int = 0
    """Requests not sent because this process might no longer own the partition."""
    abandoned: int = 0
    """Answers not written down for the same reason: the next owner finds the request as unknown."""
    healed: int = 0
    """Records of stopped owners that were overruled in the log."""
    unreadable: int = 0
    """Records of the log that are none: passed over."""
    breaker_opened: int = 0
    """Times that the destination was taken to be down."""
    disabled: int = 0
    """Times that its answers turned the destination off."""
    limited: int = 0
    """Requests that had to wait for ``max_per_minute``."""
    author_capped: int = 0
    """New tickets that had to wait for ``max_per_author_per_hour``."""
