"""Batches hold every post once, fill the budget and pad little."""

import random

from models.batching import even_budget, token_batches


def test_every_post_is_in_one_batch_within_the_budget() -> None:
    generator = random.Random(3)
    lengths = [generator.randrange(2, 129) for _ in range(500)]
    batches = token_batches(lengths, 1024)
    assert sorted(position for batch in batches for position in batch) == list(range(500))
    assert all(len(batch) * max(lengths[position] for position in batch) <= 1024 for batch in batches)


def test_posts_of_like_length_go_together() -> None:
    assert token_batches([30, 5, 31, 4], 64) == [[3, 1], [0, 2]]


def test_a_post_over_the_budget_goes_alone() -> None:
    assert token_batches([100, 3, 3], 10) == [[1, 2], [0]]


def test_no_posts_no_batches() -> None:
    assert token_batches([], 1024) == []


def test_few_posts_are_shared_among_the_workers() -> None:
    lengths = [30] * 10
    assert [len(batch) for batch in token_batches(lengths, even_budget(sum(lengths), 512, 2))] == [5, 5]


def test_many_posts_make_as_many_batches_for_each_worker_and_none_over_the_budget() -> None:
    lengths = [16] * 96
    budget = even_budget(sum(lengths), 300, 4)
    assert budget <= 300
    assert len(token_batches(lengths, budget)) == 8


def test_no_tokens_are_no_fault() -> None:
    assert even_budget(0, 512, 2) == 1
