"""How fast a destination is asked, whatever comes and whoever shares the partitions."""

import random
from collections import Counter
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from route.delivery.limits import HOUR_S, MAX_REMEMBERED, MINUTE_S, AuthorLimit, Limits, RequestLimit, author_of
from schemas.ticket import Ticket
from tests.route.delivery.doubles import ticket


def most_in_any(times: list[float], window_s: float) -> int:
    """The largest number of ``times`` within a half-open window, wherever it lies."""
    times = sorted(times)
    most = begin = 0
    for end, at in enumerate(times):
        while times[begin] + window_s <= at:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def sent(limit: RequestLimit, begin: float, until: float, urgent: bool = False) -> list[float]:
    """When requests go that take no time, from someone who always has another."""
    times, now = [], begin
    while now < until:
        wait = limit.wait_s(urgent, now)
        if wait > 0:
            now += wait
            continue
        limit.began(now)
        limit.ended(now)
        times.append(now)
    return times


@given(per_minute=st.integers(1, 500), partitions=st.integers(1, 7), data=st.data())
@settings(max_examples=60, deadline=None)
def test_never_more_than_the_limit_in_any_minute_over_all_who_share_it_and_nothing_waits_for_ever(
    per_minute: int, partitions: int, data: st.DataObject
) -> None:
    """Requests take their time, come in bursts, urgent or not; each owner has a part of the partitions."""
    owners: dict[int, list[int]] = {}
    for number in range(partitions):
        owners.setdefault(data.draw(st.integers(0, 2)), []).append(number)
    if per_minute < partitions:
        owners = {0: list(range(partitions))}  # fewer requests than partitions: see below
    rng = random.Random(data.draw(st.integers(0, 10_000)))
    times: list[float] = []
    for owned in owners.values():
        limit = RequestLimit(per_minute, partitions)
        limit.own(owned)
        now, under_way, own, idle = 0.0, [], 0, 0.0  # type: float, list[float], int, float
        while now < 4 * MINUTE_S:
            for end in [end for end in under_way if end <= now]:
                limit.ended(end)
                under_way.remove(end)
            if limit.wait_s(rng.random() < 0.3, now) <= 0 and rng.random() < 0.9:
                limit.began(now)
                took = rng.choice([0.0, 0.01, rng.random() * 5])
                times.append(now + took * rng.random())  # the bytes go out some time between begin and end
                under_way.append(now + took)
                own, idle = own + 1, now
            else:
                now += rng.choice([0.001, 0.1, rng.random()])
        assert own > 0
        assert now - idle < 2 * MINUTE_S
    assert most_in_any(times, MINUTE_S) <= per_minute


@pytest.mark.parametrize("per_minute", [1, 2, 5, 10, 60, 600])
def test_a_backlog_uses_the_limit_but_for_the_tenth_that_is_kept_for_urgent_ones(per_minute: int) -> None:
    limit = RequestLimit(per_minute, 4)
    limit.own(range(4))
    times = sent(limit, 0.0, 10 * MINUTE_S)
    kept = round(per_minute / 10)
    assert most_in_any(times, MINUTE_S) == per_minute - kept
    assert len(times) >= 10 * (per_minute - kept) * 0.9
    later = [at for at in times if at > 3 * MINUTE_S]
    if per_minute > 1:
        gap = MINUTE_S / (per_minute - kept)
        assert max(b - a for a, b in pairwise(later)) < 2 * gap + 1  # evenly, after the first burst


def test_what_is_not_over_does_not_wait() -> None:
    limit = RequestLimit(60, 1)
    assert sent(limit, 0.0, 0.001) == [0.0] * 27  # half of what is not kept for urgent ones, at once
    limit = RequestLimit(60, 1)
    assert sent(limit, 0.0, 0.001, urgent=True) == [0.0] * 60


def test_an_urgent_request_goes_at_once_while_others_have_spent_theirs() -> None:
    limit = RequestLimit(60, 1)
    sent(limit, 0.0, 50.0)
    assert limit.wait_s(False, 50.0) > 0
    assert sent(limit, 50.0, 50.001, urgent=True) == [50.0] * 6


def test_a_request_counts_until_a_minute_after_it_has_ended() -> None:
    limit = RequestLimit(1, 1)
    limit.began(0.0)
    assert limit.wait_s(True, 100.0) > 0
    limit.ended(100.0)
    assert limit.wait_s(True, 159.9) > 0
    assert limit.wait_s(True, 160.0) == 0


@given(st.integers(1, 10_000), st.integers(1, 50))
def test_the_shares_of_all_partitions_are_the_limit(per_minute: int, partitions: int) -> None:
    limit = RequestLimit(per_minute, partitions)
    quotas = [limit._quota(number) for number in range(partitions)]
    assert sum(quotas) == per_minute
    assert max(quotas) - min(quotas) <= 1


def test_an_owner_of_partitions_without_a_request_sends_as_seldom_as_its_share_asks() -> None:
    limit = RequestLimit(1, 4)
    limit.own([0])
    assert sent(limit, 0.0, 1000.0) == [0, 240, 480, 720, 960]


@pytest.mark.parametrize(
    ("per_minute", "owners"),
    [(2, [[0, 2], [1, 3]]), (1, [[0], [1], [2], [3]]), (3, [[0], [1], [2], [3]]), (3, [[0, 1, 2], [3]])],
)
def test_fewer_requests_than_partitions_add_up_to_no_more_than_the_limit(
    per_minute: int, owners: list[list[int]]
) -> None:
    times = []
    for numbers in owners:
        limit = RequestLimit(per_minute, 4)
        limit.own(numbers)
        times += sent(limit, 0.0, 60 * MINUTE_S, urgent=True)
    assert len(times) <= 60 * per_minute + len(owners)
    assert most_in_any(times, MINUTE_S) <= max(per_minute, len(owners))


def test_a_share_that_shrinks_takes_what_was_spent_into_account() -> None:
    limit = RequestLimit(60, 4)
    limit.own(range(4))
    sent(limit, 0.0, 0.001, urgent=True)
    limit.own([0])
    assert limit.wait_s(True, 59.9) > 0
    assert len(sent(limit, 60.0, 60.001, urgent=True)) == 15


def test_what_an_earlier_owner_sent_within_the_minute_counts() -> None:
    limits = Limits(10, None, 1)
    for ago in (90.0, 61.0, 59.0, 30.0, 30.0, -5.0):  # the last by a clock that runs ahead
        limits.remember(b"", "", 1000.0 - ago, 1000.0)
    assert limits._requests is not None
    assert len(sent(limits._requests, 1000.0, 1000.001, urgent=True)) == 6
    assert len(sent(limits._requests, 1060.0, 1060.001, urgent=True)) == 10


@pytest.mark.parametrize("is_ours_before", [False, True])
def test_it_counts_for_a_share_less_than_one_as_long_as_that_share_asks(is_ours_before: bool) -> None:
    """A process reads the log before it knows its share, and a share may change at any time."""
    limits = Limits(1, None, 4)
    if is_ours_before:
        limits.own([0])
    limits.remember(b"", "", 900.0, 1000.0)
    assert limits.request_wait_s(True, 1000.0) == (140 if is_ours_before else 0)
    limits.own([0])
    assert limits.request_wait_s(True, 1000.0) == 140
    limits.own([0, 1])
    assert limits.request_wait_s(True, 1000.0) == 20
    limits.own([0])
    assert limits.request_wait_s(True, 1140.0) == 0


def test_without_limits_nothing_waits() -> None:
    limits = Limits(None, None, 4)
    assert not limits.are_set
    for n in range(10_000):
        limits.began(b"a", str(n), 0.0)
    assert limits.request_wait_s(False, 0.0) == limits.author_wait_s(b"a", "x", 0.0) == 0


# -- authors ---------------------------------------------------------------------------------------------------------


@given(per_hour=st.integers(1, 8), seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_no_author_gets_more_new_tickets_in_any_hour_and_all_get_theirs_in_the_end(per_hour: int, seed: int) -> None:
    rng, limit = random.Random(seed), AuthorLimit(per_hour, 1)
    waiting = [(b"loud" if rng.random() < 0.7 else b"quiet%d" % rng.randrange(9), f"{n:032x}") for n in range(60)]
    went: dict[bytes, list[float]] = {}
    now = 0.0
    while waiting:
        held = []
        for author, key in waiting:
            if limit.wait_s(author, key, now) > 0:
                held.append((author, key))
                continue
            limit.began(author, key, now)
            went.setdefault(author, []).append(now)
        assert len(held) < len(waiting) or now > 0
        waiting = held
        now += rng.random() * HOUR_S / per_hour
        assert now < 200 * HOUR_S
    for times in went.values():
        assert most_in_any(times, HOUR_S) <= per_hour


def test_the_wait_ends_when_the_authors_next_ticket_may_go() -> None:
    limit = AuthorLimit(2, 1)
    for at, key in ((0.0, "a"), (600.0, "b")):
        limit.began(b"loud", key, at)
    wait = limit.wait_s(b"loud", "c", 700.0)
    assert wait == HOUR_S - 700
    assert limit.wait_s(b"loud", "c", 700.0 + wait) == 0


def test_further_tries_are_the_same_ticket_and_an_unknown_author_has_no_cap() -> None:
    limit = AuthorLimit(1, 1)
    for _ in range(5):
        assert limit.wait_s(b"loud", "a", 0.0) == 0
        limit.began(b"loud", "a", 0.0)
    for n in range(5):
        assert limit.wait_s(b"", f"n{n}", 0.0) == 0
        limit.began(b"", f"n{n}", 0.0)
    assert limit.wait_s(b"loud", "b", 0.0) > 0


def test_what_is_remembered_of_authors_is_bounded() -> None:
    limit = AuthorLimit(3, 1)
    for n in range(MAX_REMEMBERED + 500):
        limit.began(b"author%d" % n, f"{n:032x}", n / 1000)
    assert len(limit) == MAX_REMEMBERED
    assert len(limit._begun) == MAX_REMEMBERED
    limit.wait_s(b"", "", HOUR_S + 1000.0)
    assert len(limit) == len(limit._begun) == 0


def test_remembered_out_of_order_they_are_forgotten_in_time() -> None:
    limit = AuthorLimit(1, 1)
    limit.began(b"a", "x", 3000.0)
    limit.began(b"a", "y", 100.0)
    assert limit.wait_s(b"a", "z", 3650.0) == 3000 + HOUR_S - 3650


def test_each_process_may_send_at_least_one() -> None:
    limit = AuthorLimit(3, 4)
    shares = Counter[int]()
    for owned in range(1, 5):
        limit.own(range(owned))
        for n in range(10):
            if limit.wait_s(b"a%d" % owned, f"{owned}-{n}", 0.0) == 0:
                limit.began(b"a%d" % owned, f"{owned}-{n}", 0.0)
                shares[owned] += 1
    assert shares == {1: 1, 2: 2, 3: 3, 4: 3}


# -- whose post it is ------------------------------------------------------------------------------------------------

NAMES = st.text(max_size=20)


@given(network=NAMES, author_id=NAMES, handle=NAMES, text=st.text(max_size=200))
@settings(max_examples=200)
def test_the_author_is_read_from_the_json_as_a_model_would(
    network: str, author_id: str, handle: str, text: str
) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    one = ticket(network=network, author={"id": author_id, "handle": handle}, text=text)
    name = author_id or handle
    wanted = f"{network}\0{name}".encode() if name else b""
    assert author_of(one.to_bytes()) == wanted
    shuffled = orjson.dumps(dict(reversed(orjson.loads(one.to_bytes()).items())))
    assert author_of(shuffled) == wanted


def test_a_text_that_looks_like_json_names_no_author() -> None:
    forged = '","network":"x","author":{"id":"victim","handle":"v"}'
    one = ticket(text=forged, network=forged, why=forged, author={"id": "me"})
    assert author_of(one.to_bytes()) == f"{forged}\0me".encode()


def test_a_withdraw_has_no_author() -> None:
    assert author_of(Ticket.model_validate(ticket(op="withdraw")).to_bytes()) == b""


@pytest.mark.parametrize("author", ['"x"', "[1]", "7", "null"])
def test_an_author_that_is_none_is_nobody(author: str) -> None:
    assert author_of(f'{{"author":{author}}}'.encode()) == b""


@pytest.mark.parametrize("urgent", [False, True])
@pytest.mark.parametrize("per_minute", [1, 3, 20, 100])
def test_requests_are_scarce_whenever_somebody_waits_and_never_while_many_are_left(
    per_minute: int, urgent: bool
) -> None:
    limits, now = Limits(per_minute, None, 1), 0.0
    assert not limits.is_scarce(urgent, now)
    for _ in range(3 * per_minute):
        wait = limits.request_wait_s(urgent, now)
        assert limits.is_scarce(urgent, now) or wait == 0
        if limits.spent(now) * 3 < per_minute:
            assert not limits.is_scarce(urgent, now)
        now += wait
        limits.began(b"", "key", now)
        limits.ended(now)
    assert limits.is_scarce(urgent, now)
    assert not limits.is_scarce(urgent, now + MINUTE_S)
    assert not Limits(None, 3, 1).is_scarce(urgent, now)
