"""The keys of all tickets that are settled, in 8 bytes each: there may be millions, and none may be sent again."""

from array import array
from bisect import bisect_left
from typing import NamedTuple

import numpy as np

_MIN_RECENT = 16_384
_REVISION_BITS = 56
"""Of a packed Known: a revision (up to 2 ** 53) and two flags, the generation above them."""

Version = tuple[int, int]
"""Revision and generation of a ticket."""


class Known(NamedTuple):
    """What is settled of a ticket: its newest settled revision, and whether the destination has (or may have) it."""

    revision: int
    created: bool
    dead: bool = False
    generation: int = 0

    @property
    def version(self) -> Version:
        """Revision and generation, which order what happened to a key."""
        return self.revision, self.generation

    def settles(self, version: Version) -> bool:
        """Whether nothing more comes of ``version``: only a dead revision is taken up again, by a higher generation."""
        return version <= self.version or (version[0] == self.revision and not self.dead)


_PLAIN = Known(0, created=True)
"""How nearly every ticket ends: delivered, never edited. Of these the key alone is kept."""


class Settled:
    """A map from ticket key to Known that never gives a key up unless told to.

    Kept are the first 64 bits of the key, which is a hash already: among a million keys a new one is taken for an old
    one with a probability of 5e-14. Plain ends lie in a sorted array, behind a small set of the newest; the rest in a
    dict.
    """

    def __init__(self) -> None:
        self._sorted: array[int] = array("Q")
        self._recent: set[int] = set()
        self._special: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent) + len(self._special)

    def get(self, key: str) -> Known | None:
        """What is known of ``key`` (32 hexadecimal digits), or None."""
        bits = int(key[:16], 16)
        packed = self._special.get(bits)
        if packed is not None:
            generation, low = packed >> _REVISION_BITS, packed & (1 << _REVISION_BITS) - 1
            return Known(low >> 2, bool(low & 1), bool(low & 2), generation)
        return _PLAIN if bits in self._recent or self._is_sorted_in(bits) else None

    def put(self, key: str, known: Known) -> None:
        """Remember ``known`` in place of what was known of ``key``."""
        bits = int(key[:16], 16)
        plain = known == _PLAIN
        if not plain:
            self._drop_plain(bits)
            low = known.revision << 2 | known.dead << 1 | known.created
            self._special[bits] = known.generation << _REVISION_BITS | low
            return
        self._special.pop(bits, None)
        if not self._is_sorted_in(bits):
            self._recent.add(bits)
            if len(self._recent) >= max(_MIN_RECENT, len(self._sorted) // 16):
                self._merge()

    def forget(self, key: str) -> None:
        """Know nothing of ``key`` any more."""
        bits = int(key[:16], 16)
        self._special.pop(bits, None)
        self._drop_plain(bits)

    def _drop_plain(self, bits: int) -> None:
        self._recent.discard(bits)
        at = bisect_left(self._sorted, bits)
        if at < len(self._sorted) and self._sorted[at] == bits:
            del self._sorted[at]

    def _is_sorted_in(self, bits: int) -> bool:
        at = bisect_left(self._sorted, bits)
        return at < len(self._sorted) and self._sorted[at] == bits

    def _merge(self) -> None:
        newest = np.fromiter(self._recent, np.uint64, len(self._recent))
        merged = np.concatenate([np.frombuffer(self._sorted, np.uint64), newest])
        merged.sort(kind="stable")
        self._sorted = array("Q", merged.tobytes())
        self._recent.clear()
