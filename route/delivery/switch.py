"""The switch of a destination: what answers turn it off, so that nothing is sent any more and its tickets wait.

Off is remembered in the delivery log, in each partition, under a key of its own. It holds for the settings that were
refused, which are the address, the secret and the proxy: a worker with other ones sends, and says so there under another
key, so that compaction keeps what was refused. What a person has turned off or on holds for all.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from route.delivery.entry import LogRecord
from route.destinations.statuses import GONE, blames_settings
from schemas.delivery import IN_USE_KEY, SWITCH_KEY, Delivery

SWITCH = SWITCH_KEY.encode()
IN_USE = IN_USE_KEY.encode()
SWITCH_KEYS = frozenset((SWITCH, IN_USE))
"""Under these stand the words of this module."""


@dataclass(frozen=True, slots=True)
class Disabled:
    """Why nothing is sent, and since when (seconds since the epoch). ``status`` is that of the last answer, if one said so.

    ``settings`` is a mark of those that were refused (see Switch); empty if a person turned it off.
    """

    reason: str
    since: float
    status: int | None = None
    settings: str = ""


@dataclass(frozen=True, slots=True)
class Enabled:
    """A person turned it on."""


@dataclass(frozen=True, slots=True)
class InUse:
    """A worker sends with ``settings`` (a mark, see Switch) in place of those that were refused."""

    settings: str


Word = Disabled | Enabled | InUse


def switch_record(word: Word, at: float) -> LogRecord:
    """The record that turns a destination off, or on again."""
    now = datetime.fromtimestamp(at, UTC)
    match word:
        case InUse(settings):
            return LogRecord(IN_USE, Delivery(state="in_use", at=now, settings=settings).to_bytes())
        case Enabled():
            return LogRecord(SWITCH, Delivery(state="enabled", at=now).to_bytes())
        case Disabled(reason, began, status, settings):
            since = datetime.fromtimestamp(began, UTC)
            off = Delivery(state="disabled", at=since, status=status, detail=reason, settings=settings)
            return LogRecord(SWITCH, off.to_bytes())


def read_switch(value: bytes | None) -> Word:
    """What such a record says. Raises RecordInvalid."""
    step = Delivery.from_bytes(value)
    if step.state == "in_use":
        return InUse(step.settings)
    if step.state != "disabled":
        return Enabled()
    return Disabled(step.detail, step.at.timestamp(), step.status, step.settings)


def ends(word: Enabled | InUse, disabled: Disabled) -> bool:
    """Whether ``disabled`` is over by a later ``word``."""
    return isinstance(word, Enabled) or disabled.settings not in ("", word.settings)


class Switch:
    """Counts refusals, and knows whether the destination is off.

    410 turns it off at once. So do ``refusals`` different tickets in a row that the destination says it will never take,
    with none taken between; and as many whose answers speak of the address or the credentials (401, 404, …), if that
    has gone on for ``patience_s``, since these also come with a deployment or a change of secrets. 0 ``refusals``: only 410.

    ``settings`` gives a mark of the address, the secret and the proxy in use. ``turned_off`` is called when answers did it.
    """

    def __init__(
        self,
        refusals: int,
        patience_s: float,
        settings: Callable[[], str] = lambda: "",
        turned_off: Callable[[Disabled], object] = lambda _: None,
    ) -> None:
        self._refusals = refusals
        self._patience_s = patience_s
        self._settings = settings
        self._turned_off = turned_off
        self._found: dict[int, Disabled] = {}
        self._said: dict[int, Disabled] = {}
        self._ours: Collection[int] = ()
        self._refusing = ""
        self._row: set[str] = set()
        self._final: set[str] = set()
        self._since = 0.0

    @property
    def disabled(self) -> Disabled | None:
        """Why nothing may be sent, or None."""
        for number in self._ours:
            found = self._found.get(number)
            if found is not None and found.settings in ("", self._settings()):
                return found
        return None

    # -- what the log says ---------------------------------------------------------------------------------------

    def own(self, partitions: Collection[int]) -> None:
        """These partitions are ours from now on."""
        self._ours = partitions

    def learn(self, partition: int, word: Word) -> None:
        """A record of a partition whose log is being read; it counts while the partition is ours."""
        if isinstance(word, Disabled):
            self._said[partition] = word
            if word.settings in ("", self._settings()):
                self._found[partition] = word
            return
        if partition in self._said and ends(word, self._said[partition]):
            del self._said[partition]
        if isinstance(word, Enabled) and self._found.pop(partition, None) is not None:
            self.taken()

    def overrule(self) -> InUse | None:
        """What to write down since the log says off, but of other settings than those that are used now.

        It is told once.
        """
        refused = any(number in self._said and self._said[number].settings for number in self._ours)
        if self.disabled is not None or not refused:
            return None
        self._said.clear()
        return InUse(self._settings())

    # -- what the answers say ------------------------------------------------------------------------------------

    def taken(self) -> None:
        """A ticket was taken: the row has ended."""
        if self._row:
            self._row.clear()
            self._final.clear()

    def refused(self, partition: int, key: str, status: int | None, final: bool, now: float, at: float) -> bool:
        """Ticket ``key`` was refused, for good if ``final``; ``now`` goes only forward, ``at`` is since the epoch.

        True if the ticket has to wait, since the destination is off: that is no fault of the ticket. The answer's text is
        not kept: it may quote a post, and the log holds this for good.
        """
        if not final and not blames_settings(status):
            return False
        if self.disabled is not None:
            return True
        reason = self._reason(key, status, final, now)
        if not reason:
            return False
        self._said[partition] = self._found[partition] = found = Disabled(reason, at, status, self._settings())
        self._turned_off(found)
        return True

    def _reason(self, key: str, status: int | None, final: bool, now: float) -> str:
        if status == GONE:
            return f"it answered that it is gone: {GONE}"
        if self._refusing != self._settings():  # what was refused before says nothing of others
            self._refusing = self._settings()
            self.taken()
        if not self._row:
            self._since = now
        if len(self._row) < self._refusals:
            self._row.add(key)
        if final and len(self._final) < self._refusals:
            self._final.add(key)
        if not self._refusals or len(self._row) < self._refusals:
            return ""
        if len(self._final) >= self._refusals or now - self._since >= self._patience_s:
            last = "" if status is None else f", the last with {status}"
            return f"it refused {self._refusals} tickets in a row{last}"
        return ""
