"""The network as an ONNX graph, in float32 or int8, out of its weights.

Built node by node rather than traced, out of the operators that ONNX Runtime computes fastest, and nothing of training
can slip in. Attention is the operator of opset 23: on a CPU with AVX-512 it takes half of the time of com.microsoft's
QAttention. Norms are LayerNormalization after an Add: SkipLayerNormalization, which joins both, takes six times as long.
The bias of a product belongs to MatMulIntegerToFloat. Inputs: `ids` (posts, length) int32, padded at the end, and
`lengths` (posts,) int32. Output: `logits` (posts, WIDTH).

int8 is static: weights are quantised symmetrically per output channel, activations by one fixed scale a matrix, after
each channel was divided by a factor that the weights are multiplied by (`models.training.activations`). So the scores of
a post hang on that post alone. Weights keep 7 of their 8 bits: processors without VNNI add two products in 16 bits, which
so never overflow, and scores do not depend on the processor beyond rounding. Embeddings are int8 by row. Norms, softmax,
pooling and heads stay float32.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.outputs import WIDTH

Array = NDArray[np.float32]

OPSET = 23
IR_VERSION = 10
MICROSOFT = "com.microsoft"
WEIGHT_TOP = 63
EMBEDDING_TOP = 127
ACTIVATION_TOP = 255
NORM_EPSILON = 1e-12
ALL = slice(None)
MASKED = -1e4
"""Added to the attention scores of padding."""


@dataclass(frozen=True)
class Activation:
    """How the input of a matrix becomes unsigned 8 bits: channels (inputs,) are divided by `smoothing`, then by `scale`."""

    smoothing: Array
    scale: float
    zero: int


def build(
    state: Mapping[str, Array],
    layers: int,
    heads: int,
    activations: Mapping[str, Activation] | None = None,
    epsilon: float = NORM_EPSILON,
    distances: Array | None = None,
    one_query: bool = False,
) -> bytes:
    """The serialised model; `state` has the names and shapes of `models.training.network.Network`.

    `distances` (heads, positions, positions) is added to the attention scores of every layer, for an encoder that learned
    a bias by distance; `epsilon` is that of the norms; with `one_query` the last layer reads for the mean alone.

    int8 with `activations`, which has an entry for the input of each matrix of each layer; float32 without.
    """
    graph = _Graph(state, heads, activations, epsilon)
    graph.read_lengths()
    if distances is not None:
        graph.add_distances(distances)
    hidden = graph.embed()
    whole = layers - 1 if one_query else layers
    for layer in range(whole):
        hidden = graph.layer(hidden, f"layers.{layer}")
    pooled = graph.pool(hidden)
    for layer in range(whole, layers):
        pooled = graph.layer(hidden, f"layers.{layer}", pooled)
    graph.classify(pooled)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "plaint",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT32, ["posts", "length"]),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["posts"]),
            ],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["posts", WIDTH])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=IR_VERSION,
        producer_name="plaint",
    )
    serialised: bytes = model.SerializeToString()
    return serialised


def quantise(weights: Array, axis: int, top: int) -> tuple[NDArray[np.int8], Array]:
    """Symmetric int8 values within ±`top`, and the scales over `axis` that give the weights back."""
    scales = np.maximum(np.abs(weights).max(axis=axis, keepdims=True), 1e-12) / top
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


@dataclass(frozen=True)
class _Left:
    """The left side of a product: its node, and how it was quantised if it was."""

    matrix: str
    values: str
    how: Activation | None = None


class _Graph:
    """Nodes and constants as they accumulate; each method adds a piece and returns the name of its output."""

    def __init__(
        self, state: Mapping[str, Array], heads: int, activations: Mapping[str, Activation] | None, epsilon: float
    ) -> None:
        self.state, self.heads, self.activations, self.epsilon = state, heads, activations, epsilon
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.seen = self.seen_row = ""
        """What is added to the attention scores, (posts, 1, length, length); and one row of it."""

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.state[name])

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def read_lengths(self) -> None:
        """`length` (1,) of the batch; `real` (posts, length), true for tokens; `seen` (posts, 1, length, length), which
        hides padding from attention."""
        self.node("Shape", ["ids"], "length", start=1, end=2)
        for name, value in (("zero", 0), ("one", 1), ("two", 2)):
            self.constant(name, np.array([value]))
        limit = self.node("Squeeze", ["length"], "limit")
        self.constant("first", np.array(0))
        self.constant("step", np.array(1))
        places = self.node(
            "Cast", [self.node("Range", ["first", limit, "step"], "range")], "places", to=TensorProto.INT32
        )
        self.node("Less", [places, self.node("Unsqueeze", ["lengths", "one"], "lengths.column")], "real")
        keys = self.node("Unsqueeze", ["real", self.constant("one.two", np.array([1, 2]))], "real.keys")
        self.constant("shown", np.array(0, dtype=np.float32))
        self.constant("hidden", np.array(MASKED, dtype=np.float32))
        self.seen_row = self.node("Where", [keys, "shown", "hidden"], "seen.row")
        shape = self.node("Concat", ["one", "one", "length", "one"], "seen.shape", axis=0)
        self.seen = self.node("Expand", [self.seen_row, shape], "seen")

    def add_distances(self, biases: Array) -> None:
        self.constant("distances", biases[None])
        self.constant("zero.zero", np.array([0, 0]))
        self.constant("two.three", np.array([2, 3]))
        square = self.node("Concat", ["length", "length"], "square", axis=0)
        here = self.node("Slice", ["distances", "zero.zero", square, "two.three"], "distances.here")
        self.seen = self.node("Add", [self.seen, here], "seen.distances")

    def embed(self) -> str:
        positions = self.node("Slice", [self.weight("positions.weight"), "zero", "length"], "positions")
        return self._norm(self.node("Add", [self._words(), positions], "embedded"), "norm")

    def _words(self) -> str:
        if self.activations is None:
            return self.node("Gather", [self.weight("words.weight"), "ids"], "words")
        values, scales = quantise(self.state["words.weight"], 1, EMBEDDING_TOP)
        rows = self.node("Gather", [self.constant("words.values", values), "ids"], "words.rows")
        floats = self.node("Cast", [rows], "words.floats", to=TensorProto.FLOAT)
        factors = self.node("Gather", [self.constant("words.scales", scales), "ids"], "words.factors")
        return self.node("Mul", [floats, factors], "words")

    def layer(self, hidden: str, name: str, asking: str | None = None) -> str:
        """What becomes of `asking` (posts, queries, width), None for `hidden`, over the tokens of `hidden`."""
        mixed = self._product(self._left(self._attention(hidden, name, asking), f"{name}.attention_out", divided=True))
        attended = self._norm(self.node("Add", [mixed, asking or hidden], f"{name}.attended"), f"{name}.attention_norm")
        inner = self._product(self._left(attended, f"{name}.inner"))
        outer = self._product(self._left(self.node("Gelu", [inner], f"{name}.gelu"), f"{name}.outer"))
        return self._norm(self.node("Add", [outer, attended], f"{name}.summed"), f"{name}.outer_norm")

    def _attention(self, hidden: str, name: str, asking: str | None) -> str:
        """Query, key and value by a product each: one for all three would have to be cut. The values are divided by what
        smooths their mixture, since attention adds them up channel by channel: that spares a pass over it."""
        left = self._left(hidden, f"{name}.qkv")
        asks = left if asking is None else self._quantised(asking, left, ".asking")
        width = self.state[f"{name}.qkv.bias"].shape[0] // 3
        query, key, value = (slice(number * width, (number + 1) * width) for number in range(3))
        inputs = [
            self._product(asks, query, ".query"),
            self._product(left, key, ".key"),
            self._product(left, value, ".value", self._smoothing(f"{name}.attention_out")),
            self.seen if asking is None else self.seen_row,
        ]
        return self.node("Attention", inputs, f"{name}.attention", q_num_heads=self.heads, kv_num_heads=self.heads)

    def _product(self, left: _Left, columns: slice = ALL, part: str = "", divisors: Array | None = None) -> str:
        """`left` times the matrix of its name, or these columns of it, and the bias; each column by its divisor."""
        name = f"{left.matrix}{part}"
        weights, bias = self._weights(left.matrix)[:, columns], self.state[f"{left.matrix}.bias"][columns]
        if divisors is not None:
            weights, bias = weights / divisors, bias / divisors
        self.constant(f"{name}.bias", bias)
        if left.how is None:
            product = self.node("MatMul", [left.values, self.constant(f"{name}.weights", weights)], f"{name}.product")
            return self.node("Add", [product, f"{name}.bias"], f"{name}.biased")
        values, scales, zeros = self._quantised_weights(weights * left.how.smoothing[:, None], name)
        scale, zero = f"{left.matrix}.in.scale", f"{left.matrix}.in.zero"
        inputs = [left.values, values, scale, scales, zero, zeros, f"{name}.bias"]
        return self.node("MatMulIntegerToFloat", inputs, f"{name}.product", MICROSOFT)

    def _weights(self, name: str) -> Array:
        """(inputs, outputs)."""
        return self.state[f"{name}.weight"].T

    def _smoothing(self, matrix: str) -> Array | None:
        return None if self.activations is None else self.activations[matrix].smoothing

    def _left(self, values: str, matrix: str, divided: bool = False) -> _Left:
        """What a matrix meets: as it is, or in unsigned 8 bits. `divided`: by what smooths it, already."""
        if self.activations is None:
            return _Left(matrix, values)
        how = self.activations[matrix]
        self.constant(f"{matrix}.in.scale", np.array(how.scale, dtype=np.float32))
        self.constant(f"{matrix}.in.zero", np.array(how.zero, dtype=np.uint8))
        if not divided:
            self.constant(f"{matrix}.smoothing", 1 / how.smoothing)
        return self._quantised(values, _Left(matrix, values, how), divided=divided)

    def _quantised(self, values: str, like: _Left, part: str = "", divided: bool = False) -> _Left:
        """`values` made what the matrix of `like` meets, with the constants that are there for it."""
        if like.how is None:
            return _Left(like.matrix, values)
        name = f"{like.matrix}{part}"
        if not divided:
            values = self.node("Mul", [values, f"{like.matrix}.smoothing"], f"{name}.smoothed")
        inputs = [values, f"{like.matrix}.in.scale", f"{like.matrix}.in.zero"]
        return _Left(like.matrix, self.node("QuantizeLinear", inputs, f"{name}.in"), like.how)

    def _quantised_weights(self, weights: Array, name: str) -> tuple[str, str, str]:
        values, scales = quantise(weights, 0, WEIGHT_TOP)
        return (
            self.constant(f"{name}.values", values),
            self.constant(f"{name}.scales", scales[0]),
            self.constant(f"{name}.zeros", np.zeros(scales.shape[1], dtype=np.int8)),
        )

    def _norm(self, values: str, name: str) -> str:
        inputs = [values, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.node("LayerNormalization", inputs, f"{name}.out", epsilon=self.epsilon)

    def pool(self, hidden: str) -> str:
        """(posts, 1, width): the mean over the real tokens."""
        real = self.node("Cast", ["real"], "mask", to=TensorProto.FLOAT)
        masked = self.node("Mul", [hidden, self.node("Unsqueeze", [real, "two"], "mask.wide")], "masked")
        summed = self.node("ReduceSum", [masked, "one"], "summed", keepdims=1)
        counts = self.node(
            "Cast", [self.node("Unsqueeze", ["lengths.column", "two"], "counts.wide")], "counts", to=TensorProto.FLOAT
        )
        return self.node("Div", [summed, counts], "pooled")

    def classify(self, pooled: str) -> str:
        """The heads."""
        flat = self.node("Squeeze", [pooled, "one"], "pooled.flat")
        product = self.node("MatMul", [flat, self.constant("heads", self.state["heads.weight"].T)], "heads.product")
        return self.node("Add", [product, self.weight("heads.bias")], "logits")
