"""``python -m tests.bench.model_openvino``: the shipped network in OpenVINO beside ONNX Runtime (``pip install openvino``).

The same int8 network, out of the constants of the shipped graph: quantised weights, fixed scales, attention as OpenVINO's own
fused operator. Real posts of ``$PLAINT_DATA`` in the engine's batches, one thread each, in pairs in turn, in CPU time.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from models.batching import token_batches
from models.engine import SHIPPED, TOKEN_BUDGET
from models.manifest import NETWORK, TOKENIZER, load_manifest
from models.outputs import INTENT, WIDTH
from models.session import Session
from models.tokens import Tokens
from tests.bench.model import read_posts

HEADS = 12
Node = Any
Run = Callable[[list[list[int]]], NDArray[np.float32]]


class Builder:
    """OpenVINO's nodes of the network whose constants are given."""

    def __init__(self, constants: dict[str, NDArray[Any]]) -> None:
        import openvino.opset13

        self.op, self.constants = openvino.opset13, constants

    def fixed(self, value: object) -> Node:
        return self.op.constant(np.array(value))

    def named(self, name: str) -> Node:
        return self.op.constant(self.constants[name])

    def norm(self, values: Node, name: str) -> Node:
        normal = self.op.mvn(values, self.fixed([-1]), True, 1e-12, "inside_sqrt")
        return self.op.add(self.op.multiply(normal, self.named(f"{name}.weight")), self.named(f"{name}.bias"))

    def quantised(self, values: Node, matrix: str) -> Node:
        scale = float(self.constants[f"{matrix}.in.scale"].ravel()[0])
        zero = int(self.constants[f"{matrix}.in.zero"].ravel()[0])
        low, high = (self.fixed(np.float32((end - zero) * scale)) for end in (0, 255))
        smoothed = self.op.multiply(values, self.named(f"{matrix}.smoothing"))
        return self.op.fake_quantize(smoothed, low, high, low, high, 256)

    def product(self, left: Node, name: str) -> Node:
        values = self.op.convert(self.fixed(np.ascontiguousarray(self.constants[f"{name}.values"].T)), np.float32)
        weights = self.op.multiply(values, self.fixed(self.constants[f"{name}.scales"][:, None]))
        return self.op.add(self.op.matmul(left, weights, False, True), self.named(f"{name}.bias"))

    def attention(self, hidden: Node, seen: Node, name: str) -> Node:
        left, shape, order = (
            self.quantised(hidden, f"{name}.qkv"),
            self.fixed([0, 0, HEADS, 32]),
            self.fixed([0, 2, 1, 3]),
        )
        query, key, value = (
            self.op.transpose(self.op.reshape(self.product(left, f"{name}.qkv.{part}"), shape, True), order)
            for part in ("query", "key", "value")
        )
        mixed = self.op.transpose(self.op.scaled_dot_product_attention(query, key, value, seen), order)
        return self.op.reshape(mixed, self.fixed([0, 0, HEADS * 32]), True)

    def layer(self, hidden: Node, seen: Node, name: str) -> Node:
        mixed = self.quantised(self.attention(hidden, seen, name), f"{name}.attention_out")
        attended = self.op.add(self.product(mixed, f"{name}.attention_out"), hidden)
        attended = self.norm(attended, f"{name}.attention_norm")
        inner = self.product(self.quantised(attended, f"{name}.inner"), f"{name}.inner")
        outer = self.product(self.quantised(self.op.gelu(inner, "erf"), f"{name}.outer"), f"{name}.outer")
        return self.norm(self.op.add(outer, attended), f"{name}.outer_norm")

    def network(self, layers: int) -> tuple[Node, list[Node]]:
        """Output and inputs."""
        op, zero = self.op, self.fixed(0)
        ids, lengths = op.parameter([-1, -1], np.int32), op.parameter([-1], np.int32)
        length = op.gather(op.shape_of(ids, "i64"), self.fixed([1]), zero)
        rows, scales = (op.gather(self.named(f"words.{part}"), ids, zero) for part in ("values", "scales"))
        first, step, axis = self.fixed([0]), self.fixed([1]), self.fixed([0])
        positions = op.slice(self.named("positions.weight"), first, length, step, axis)
        places = op.range(zero, op.squeeze(length, axis), self.fixed(1), "i32")
        real = op.less(places, op.unsqueeze(lengths, self.fixed([1])))
        shown, masked = self.fixed(np.float32(0)), self.fixed(np.float32(-1e4))
        seen = op.select(op.unsqueeze(real, self.fixed([1, 2])), shown, masked)
        hidden = self.norm(op.add(op.multiply(op.convert(rows, np.float32), scales), positions), "norm")
        for layer in range(layers):
            hidden = self.layer(hidden, seen, f"layers.{layer}")
        kept = op.multiply(hidden, op.unsqueeze(op.convert(real, np.float32), self.fixed([2])))
        counts = op.convert(op.unsqueeze(lengths, self.fixed([1])), np.float32)
        pooled = op.divide(op.reduce_sum(kept, self.fixed([1]), False), counts)
        return op.add(op.matmul(pooled, self.named("heads"), False, False), self.named("heads.bias")), [ids, lengths]


def in_openvino(network: Path, layers: int) -> Run:
    import openvino

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(network).graph.initializer}
    output, inputs = Builder(constants).network(layers)
    hints = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(openvino.Model([output], inputs), "CPU", hints).create_infer_request()

    def run(batch: list[list[int]]) -> NDArray[np.float32]:
        lengths = np.array([len(ids) for ids in batch], dtype=np.int32)
        padded = np.zeros((len(batch), int(lengths.max())), dtype=np.int32)
        for row, ids in zip(padded, batch, strict=True):
            row[: len(ids)] = ids
        return np.array(request.infer([padded, lengths])[0], dtype=np.float32)

    return run


def measured(run: Run, encoded: list[list[int]]) -> tuple[NDArray[np.float32], float]:
    """Logits, and milliseconds of CPU a post."""
    result, started = np.empty((len(encoded), WIDTH), dtype=np.float32), time.process_time()
    for positions in token_batches([len(ids) for ids in encoded], TOKEN_BUDGET):
        result[positions] = run([encoded[position] for position in positions])
    return result, (time.process_time() - started) / len(encoded) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--posts", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    if find_spec("openvino") is None:
        raise SystemExit("this compares with OpenVINO, which is not installed: pip install openvino")
    tokens = Tokens(arguments.weights / TOKENIZER, load_manifest(arguments.weights).max_tokens)
    encoded = tokens.encode(read_posts(arguments.posts, tokens).texts)
    network = arguments.weights / NETWORK
    ours: Run = Session(network, threads=1, token_budget=TOKEN_BUDGET).run
    other = in_openvino(network, load_manifest(arguments.weights).layers)
    measured(ours, encoded[:64]), measured(other, encoded)  # OpenVINO compiles for each new shape
    pairs = [(measured(ours, encoded), measured(other, encoded)) for _ in range(arguments.pairs)]
    (logits, _), (others, _) = pairs[0]
    same = float(np.mean(logits[:, INTENT].argmax(1) == others[:, INTENT].argmax(1)))
    mine, theirs = (statistics.median(pair[side][1] for pair in pairs) for side in (0, 1))
    ratio = statistics.median(second / first for (_, first), (_, second) in pairs)
    print(f"onnxruntime {mine:.2f} ms, openvino {theirs:.2f} ms of CPU a post; openvino/onnxruntime {ratio:.2f}")
    print(f"{len(encoded)} posts, the same intent for {same:.1%}")


if __name__ == "__main__":
    main()
