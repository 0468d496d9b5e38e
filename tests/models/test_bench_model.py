"""What ``make bench-model`` measures with: posts that arrive by chance, and the work that a token is. Needs the train extra."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

pytest.importorskip("onnx", reason="needs the train extra")
pytest.importorskip("torch", reason="needs the train extra")

from models.engine import Engine
from models.export import float32_graph
from models.manifest import NETWORK
from models.training.network import Network, Shape
from tests.bench.model import Posts
from tests.bench.model_machine import operations, under_load

TINY = next(iter(sorted(Path(__file__).parent.glob("tiny-*"))))


class Slow:
    """An engine that takes 20 ms a call and remembers how many posts it was given in each."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def score(self, texts: Sequence[str]) -> None:
        self.calls.append(len(texts))
        time.sleep(0.02)


def test_posts_arrive_whether_the_engine_is_ready_or_not() -> None:
    slow = Slow()
    taken = under_load(cast(Engine, slow), ["a", "b"], per_second=400, seconds=0.5, most=5)
    assert sum(slow.calls) == len(taken) > 150
    assert max(slow.calls) == 5  # 8 come in the time of a call, so that the queue grows
    assert taken == sorted(taken)
    assert taken[0] >= 0.02
    assert taken[-1] > 0.2  # the last ones waited


def test_a_token_is_worth_two_operations_a_weight() -> None:
    assert operations(TINY / NETWORK, 30) == 30 * 2 * (4 * 384 * 384 + 2 * 384 * 1536)


def test_of_a_layer_with_one_query_only_keys_and_values_are_computed_of_every_token(tmp_path: Path) -> None:
    shape = Shape(vocabulary=50, positions=16, width=32, layers=2, heads=4, inner=64, one_query=True)
    path = tmp_path / "model.onnx"
    path.write_bytes(float32_graph(Network(shape).eval()))
    layer = 4 * 32 * 32 + 2 * 32 * 64
    every_token = layer + 2 * 32 * 32
    assert operations(path, 10) == 2 * (10 * every_token + layer - 2 * 32 * 32)


def test_rivals_get_other_posts_in_each_turn() -> None:
    posts = Posts([str(number) for number in range(12)], [1] * 12)
    assert posts.every(3, 0) == ["0", "4", "8"]
    assert posts.every(3, 5) == ["1", "5", "9"]
    assert posts.every(99, 1) == posts.texts
