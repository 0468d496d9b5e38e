"""What the log says, whatever was written to it, in whatever order it is read and however often."""

from dataclasses import dataclass
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from route.delivery.entry import Entry, OpenState
from route.delivery.fold import Fold
from route.delivery.settled import Known
from tests.route.delivery.doubles import START

FOREVER = float("inf")
A, B, C = (f"{n:016x}{0:016x}" for n in (1, 2, 3))


@dataclass(frozen=True)
class Owner:
    """An owner record."""


@dataclass(frozen=True)
class Step:
    """A record of a ticket, by an owner that is ``behind`` the newest: 0 is the newest itself, 1 its predecessor."""

    key: str
    revision: int
    state: OpenState | Literal["done", "dead"]
    behind: int = 0
    created: bool = True
    generation: int = 0


_record = st.builds(Owner) | st.builds(
    Step,
    st.sampled_from([A, B, C]),
    st.integers(0, 3),
    st.sampled_from(["accepted", "sending", "done", "dead"]),
    st.integers(0, 2),
    st.booleans(),
    st.integers(0, 2),
)
_log = st.lists(_record, max_size=40)


def entries(log: list[Owner | Step]) -> list[Entry | None]:
    """The log with offsets and epochs; None is an owner record."""
    owners: list[int] = []
    found: list[Entry | None] = []
    for offset, record in enumerate(log):
        if isinstance(record, Owner):
            owners.append(offset)
            found.append(None)
            continue
        epoch = owners[-1 - record.behind] if record.behind < len(owners) else -1
        final = record.state in ("done", "dead")
        found.append(
            Entry(
                key=record.key,
                revision=record.revision,
                offset=offset,
                epoch=epoch,
                created=record.created,
                dead=record.state == "dead",
                state=None if final else record.state,  # type: ignore[arg-type]
                due=START,
                generation=record.generation,
                body=b"" if final else b'{"offset":%d}' % offset,
            )
        )
    return found


def feed(fold: Fold, log: list[Entry | None], begin: int = 0, end: int | None = None) -> Fold:
    for offset in range(begin, len(log) if end is None else end):
        entry = log[offset]
        if entry is None:
            fold.owned(offset)
        else:
            fold.apply(entry, FOREVER)
        fold.position = offset + 1
    return fold


def what(fold: Fold) -> dict[str, tuple[object, Known | None]]:
    """All that a fold knows of the three keys."""
    return {key: (_open(fold, key), fold.settled.get(key)) for key in (A, B, C)}


def _open(fold: Fold, key: str) -> object:
    item = fold.open.get(key)
    return None if item is None else (item.version, item.state, item.created, item.body, item.offset)


@given(_log)
@settings(deadline=None)
def test_what_is_settled_is_never_opened_again(log: list[Owner | Step]) -> None:
    fold, read = Fold(), entries(log)
    highest: dict[str, tuple[int, int]] = {}
    for offset, entry in enumerate(read):
        known = fold.settled.get(entry.key) if entry is not None else None
        was_open = entry is not None and entry.key in fold.open
        feed(fold, read, offset, offset + 1)
        if entry is not None and entry.state is None:
            highest[entry.key] = max(entry.version, highest.get(entry.key, (-1, 0)))
        for key, item in fold.open.items():
            assert item.version > highest.get(key, (-1, 0))
        if entry is not None and known is not None and not was_open and entry.key in fold.open:
            assert known.dead or fold.open[entry.key].revision > known.revision


@given(_log)
@settings(deadline=None)
def test_the_highest_revision_wins_and_of_one_revision_the_highest_generation(log: list[Owner | Step]) -> None:
    fold, read = Fold(), entries(log)
    for offset, entry in enumerate(read):
        before = {key: _newest(fold, key) for key in (A, B, C)}
        feed(fold, read, offset, offset + 1)
        assert all(_newest(fold, key) >= before[key] for key in (A, B, C))
        if entry is not None and entry.epoch >= fold.epoch:
            known = fold.settled.get(entry.key)
            assert _newest(fold, entry.key) >= entry.version or (known is not None and known.settles(entry.version))


def _newest(fold: Fold, key: str) -> tuple[int, int]:
    item, known = fold.open.get(key), fold.settled.get(key)
    return max(item.version if item else (-1, 0), known.version if known else (-1, 0))


@given(_log, st.data())
@settings(deadline=None)
def test_reading_a_part_of_it_again_changes_nothing(log: list[Owner | Step], data: st.DataObject) -> None:
    """A worker that gets a partition back reads from where its own reading stopped, not from where its memory is."""
    read = entries(log)
    once = feed(Fold(), read)
    end = data.draw(st.integers(0, len(read)))
    begin = data.draw(st.integers(0, end))
    again = feed(Fold(), read, 0, end)
    feed(again, read, begin)
    settled = {key: known for key, (_, known) in what(once).items()}
    assert {key: known for key, (_, known) in what(again).items()} == settled
    assert {key: item.version for key, item in again.open.items()} == {
        key: item.version for key, item in once.open.items()
    }


@given(_log)
@settings(max_examples=300, deadline=None)
def test_compaction_changes_nothing_once_stale_records_are_overruled(log: list[Owner | Step]) -> None:
    """What would be lost is exactly what the fold names as stale: each key whose last record counts for nothing."""
    read = entries(log)
    whole = feed(Fold(), read)
    last = {entry.key if entry else "owner": offset for offset, entry in enumerate(read)}
    compacted = Fold()
    for offset, entry in enumerate(read):
        if last[entry.key if entry else "owner"] == offset:
            feed(compacted, read, offset, offset + 1)
    for key, (item, known) in what(whole).items():
        if key not in whole.stale:
            assert _open(compacted, key) == item
            # Of an older settled revision nothing is left in the log, nor needed: a newer one is open.
            assert item is not None or compacted.settled.get(key) == known


def test_a_stopped_owners_late_word_about_an_open_ticket_counts_for_nothing() -> None:
    fold = feed(Fold(), entries([Owner(), Step(A, 0, "sending"), Owner(), Step(A, 0, "accepted", behind=1)]))
    assert fold.open[A].state == "sending"
    assert fold.stale == {A}


def test_a_late_word_of_something_new_counts_and_is_to_be_written_once_more() -> None:
    log: list[Owner | Step] = [Owner(), Owner(), Step(A, 0, "accepted", behind=1, created=False)]
    fold = feed(Fold(), entries(log))
    assert fold.open[A].version == (0, 0)
    assert not fold.open[A].created
    assert fold.stale == {A}


def test_a_late_word_of_something_new_takes_up_what_is_known_of_the_ticket() -> None:
    log: list[Owner | Step] = [Owner(), Step(A, 0, "done"), Owner(), Step(A, 1, "accepted", behind=1, created=False)]
    item = feed(Fold(), entries(log)).open[A]
    assert (item.op, item.created) == ("update", True)


def test_a_request_for_an_older_revision_makes_the_one_that_is_open_an_update() -> None:
    """A process that was stopped and woke had taken an edit for the first that is sent; meanwhile the create went out."""
    log: list[Owner | Step] = [Owner(), Owner(), Step(A, 1, "accepted", behind=1, created=False)]
    for state in ("sending", "done"):
        item = feed(Fold(), entries([*log, Step(A, 0, state, created=state == "done")])).open[A]
        assert (item.version, item.op, item.created) == ((1, 0), "update", True)


def test_a_late_edit_of_a_ticket_whose_request_has_begun_is_no_create() -> None:
    log: list[Owner | Step] = [Owner(), Step(A, 0, "sending", created=False), Owner()]
    item = feed(Fold(), entries([*log, Step(A, 1, "accepted", behind=1, created=False)])).open[A]
    assert (item.version, item.op, item.created) == ((1, 0), "update", True)


def test_reading_again_what_was_withdrawn_since_leaves_a_new_create_one() -> None:
    log = entries(
        [Owner(), Step(A, 0, "done"), Step(A, 1, "done", created=False), Step(A, 2, "accepted", created=False)]
    )
    fold = feed(feed(Fold(), log), log)
    assert (fold.open[A].op, fold.open[A].created) == ("create", False)


def test_a_late_word_that_a_request_has_begun_counts() -> None:
    fold = feed(Fold(), entries([Owner(), Step(A, 0, "accepted"), Owner(), Step(A, 0, "sending", behind=1)]))
    assert fold.open[A].state == "sending"
    assert fold.stale == {A}


def test_what_is_overheard_of_an_open_ticket_changes_nothing_now_but_the_log_is_to_be_read_again() -> None:
    fold = feed(Fold(), entries([Owner()]))
    late, done = entries([Step(A, 0, "accepted"), Step(B, 0, "done")])
    assert late is not None
    assert done is not None
    fold.overhear(done, FOREVER)
    assert fold.is_whole
    fold.overhear(late, FOREVER)
    assert not fold.open
    assert fold.settled.get(B) == Known(0, created=True)
    assert not fold.is_whole


def test_a_stopped_owners_late_word_that_a_ticket_is_done_counts() -> None:
    fold = feed(Fold(), entries([Owner(), Step(A, 0, "sending"), Owner(), Step(A, 0, "done", behind=1)]))
    assert not fold.open
    assert fold.settled.get(A) == Known(0, created=True)
    assert not fold.stale


def test_the_truth_written_once_more_ends_the_matter() -> None:
    log: list[Owner | Step] = [Owner(), Step(A, 0, "done"), Owner(), Step(A, 0, "sending", behind=1)]
    assert feed(Fold(), entries(log)).stale == {A}
    assert not feed(Fold(), entries([*log, Step(A, 0, "done")])).stale


def test_a_newer_revision_opens_a_settled_ticket() -> None:
    fold = feed(Fold(), entries([Owner(), Step(A, 0, "done"), Step(A, 2, "accepted")]))
    assert fold.open[A].revision == 2
    assert fold.settled.get(A) == Known(0, created=True)


def test_a_new_generation_takes_up_what_is_dead() -> None:
    fold = feed(Fold(), entries([Owner(), Step(A, 1, "dead"), Step(A, 1, "accepted", generation=1)]))
    assert fold.open[A].version == (1, 1)
    assert not fold.stale


def test_no_generation_takes_up_what_is_done_or_older() -> None:
    for settled, revision in ((Step(A, 1, "done"), 1), (Step(A, 1, "dead"), 0)):
        fold = feed(Fold(), entries([Owner(), settled, Step(A, revision, "accepted", generation=5)]))
        assert not fold.open
        assert fold.stale == {A}


def test_the_late_end_of_an_earlier_generation_does_not_end_the_one_that_is_open() -> None:
    log: list[Owner | Step] = [Step(A, 0, "accepted", generation=1), Owner(), Step(A, 0, "dead", behind=1)]
    fold = feed(Fold(), entries(log))
    assert fold.open[A].version == (0, 1)
    assert fold.stale == {A}


def test_a_tombstone_makes_a_key_new() -> None:
    fold = feed(Fold(), entries([Owner(), Step(A, 0, "done"), Step(B, 0, "accepted")]))
    fold.forget(A)
    fold.forget(B)
    assert what(fold) == dict.fromkeys((A, B, C), (None, None))


def test_a_ticket_has_waited_since_its_first_try_however_many_came_after_it() -> None:
    fold = Fold()
    for hour, entry in enumerate(entries([Step(A, 0, "accepted"), Step(A, 0, "accepted"), Step(A, 1, "accepted")])):
        assert entry is not None
        entry.since = START + 3600 * hour
        fold.apply(entry, FOREVER)
        assert fold.open[A].since == START + (7200 if hour == 2 else 0)  # an edit begins anew


def test_bodies_of_far_off_tickets_stay_in_the_log() -> None:
    fold = Fold()
    soon, later = entries([Step(A, 0, "accepted"), Step(B, 0, "accepted")])
    assert soon is not None
    assert later is not None
    later.due = START + 3600
    fold.apply(soon, keep_until=START + 60)
    fold.apply(later, keep_until=START + 60)
    assert fold.open[A].body is not None
    assert fold.open[B].body is None
    assert fold.open[B].offset == 1
    assert fold.held == 1


@given(_log)
@settings(deadline=None)
def test_bodies_in_memory_are_counted(log: list[Owner | Step]) -> None:
    fold = Fold()
    for entry in entries(log):
        if entry is not None:
            fold.apply(entry, keep_until=START - (entry.offset % 2))
        for item in list(fold.open.values())[:1]:
            fold.load(item, b"{}") if item.body is None else fold.leave(item)
        assert fold.held == sum(item.body is not None for item in fold.open.values())
