"""What the machine can do, and how long a post takes on it: the other half of ``make bench-model``."""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.engine import Engine
from models.session import available_cores

PEAK_SHAPES = ((512, 1536, 384), (512, 384, 1536), (1024, 1024, 1024), (2048, 2048, 2048))
"""Rows, inputs, outputs of the products that the peak is looked for with."""
SEED = 20


class Peak:
    """The machine's own int8 matrix product in the library that the engine uses: unsigned by signed 8 bits into 32, a
    product of its own on each core, without anything around it."""

    def __init__(self) -> None:
        self._cores = available_cores()
        self._pool = ThreadPoolExecutor(self._cores)
        self._products = [_Product(*shape) for shape in PEAK_SHAPES]
        best = max(self._products, key=lambda product: self._measure(product, 0.7))
        self._products = [best]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the fastest product."""
        return self._products[0].shape

    def measure(self, seconds: float = 1.0) -> float:
        """Operations a second, two for each multiplication and addition."""
        return self._measure(self._products[0], seconds)

    def _measure(self, product: "_Product", seconds: float) -> float:
        started = time.perf_counter()
        done = sum(self._pool.map(lambda _: product.repeat(started + seconds), range(self._cores)))
        return done * product.operations / (time.perf_counter() - started)


class _Product:
    def __init__(self, rows: int, inputs: int, outputs: int) -> None:
        self.shape = (rows, inputs, outputs)
        self.operations = 2 * rows * inputs * outputs
        generator = np.random.default_rng(SEED)
        self._left = generator.integers(0, 255, (rows, inputs), dtype=np.uint8)
        right: NDArray[np.int8] = generator.integers(-63, 63, (inputs, outputs), dtype=np.int8)
        graph = helper.make_graph(
            [helper.make_node("MatMulInteger", ["left", "right"], ["product"])],
            "peak",
            [helper.make_tensor_value_info("left", TensorProto.UINT8, [rows, inputs])],
            [helper.make_tensor_value_info("product", TensorProto.INT32, [rows, outputs])],
            [numpy_helper.from_array(right, "right")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def repeat(self, until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            self._session.run(None, {"left": self._left})
            done += 1
        return done


def operations(network: Path, tokens: float) -> float:
    """Of a post of so many tokens in the matrices of the layers, two for each multiplication and addition; attention's own
    products, softmax and norms, a few percent more, count as nothing. A layer that reads for one query has but its keys
    and values of every token.
    """
    graph = onnx.load(network).graph
    names = [node.name for node in graph.node]
    pooled = names[names.index("pooled") :]
    done = 0.0
    for tensor in graph.initializer:
        if tensor.name.startswith("layers.") and len(tensor.dims) == 2:
            layer, _, matrix = tensor.name.partition(".")[2].partition(".")
            once = f"layers.{layer}.attention" in pooled and not matrix.startswith(("qkv.key", "qkv.value"))
            done += 2 * tensor.dims[0] * tensor.dims[1] * (1 if once else tokens)
    return done


def one_by_one(engine: Engine, posts: Sequence[str]) -> list[float]:
    """Seconds of each post scored alone, sorted."""
    taken = []
    for post in posts:
        started = time.perf_counter()
        engine.score([post])
        taken.append(time.perf_counter() - started)
    return sorted(taken)


def under_load(engine: Engine, posts: Sequence[str], per_second: float, seconds: float, most: int) -> list[float]:
    """Seconds from each post's arrival to its scores, sorted. Posts arrive by chance at this rate, whether the engine is
    ready or not; it takes all that wait, at most ``most`` of them.
    """
    generator = random.Random(SEED)
    arrivals = [generator.expovariate(per_second)]
    while arrivals[-1] < seconds:
        arrivals.append(arrivals[-1] + generator.expovariate(per_second))
    taken: list[float] = []
    started = time.perf_counter()
    while len(taken) < len(arrivals):
        first = len(taken)
        time.sleep(max(0.0, started + arrivals[first] - time.perf_counter()))
        now = time.perf_counter() - started
        last = first + 1
        while last < len(arrivals) and arrivals[last] <= now and last - first < most:
            last += 1
        engine.score([posts[at % len(posts)] for at in range(first, last)])
        now = time.perf_counter() - started
        taken.extend(now - arrival for arrival in arrivals[first:last])
    return sorted(taken)
