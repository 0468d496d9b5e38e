"""The network as an ONNX graph, in float32 or int8, out of its weights.

Built node by node rather than traced: ONNX Runtime's fused operators (domain com.microsoft) stand where its optimiser
would have to find them, and nothing of training can slip in. Inputs: `ids` (posts, length) int32, padded at the end, and
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

OPSET = 18
IR_VERSION = 10
MICROSOFT = "com.microsoft"
WEIGHT_TOP = 63
EMBEDDING_TOP = 127
ACTIVATION_TOP = 255
NORM_EPSILON = 1e-12


@dataclass(frozen=True)
class Activation:
    """How the input of a matrix becomes unsigned 8 bits: channels (inputs,) are divided by `smoothing`, then by `scale`."""

    smoothing: Array
    scale: float
    zero: int


def build(
    state: Mapping[str, Array], layers: int, heads: int, activations: Mapping[str, Activation] | None = None
) -> bytes:
    """The serialised model; `state` has the names and shapes of `models.training.network.Network`.

    int8 with `activations`, which has an entry for the input of each matrix of each layer; float32 without.
    """
    graph = _Graph(state, heads, activations)
    hidden = graph.embed()
    for layer in range(layers):
        hidden = graph.layer(hidden, f"layers.{layer}")
    graph.pool_and_classify(hidden)
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


class _Graph:
    """Nodes and constants as they accumulate; each method adds a piece and returns the name of its output."""

    def __init__(self, state: Mapping[str, Array], heads: int, activations: Mapping[str, Activation] | None) -> None:
        self.state, self.heads, self.activations = state, heads, activations
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.state[name])

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def embed(self) -> str:
        self.node("Shape", ["ids"], "length", start=1, end=2)
        self.constant("zero", np.array([0]))
        positions = self.node("Slice", [self.weight("positions.weight"), "zero", "length"], "positions")
        summed = self.node("Add", [self._words(), positions], "embedded")
        return self._norm([summed], "norm")

    def _words(self) -> str:
        if self.activations is None:
            return self.node("Gather", [self.weight("words.weight"), "ids"], "words")
        values, scales = quantise(self.state["words.weight"], 1, EMBEDDING_TOP)
        rows = self.node("Gather", [self.constant("words.values", values), "ids"], "words.rows")
        floats = self.node("Cast", [rows], "words.floats", to=TensorProto.FLOAT)
        factors = self.node("Gather", [self.constant("words.scales", scales), "ids"], "words.factors")
        return self.node("Mul", [floats, factors], "words")

    def layer(self, hidden: str, name: str) -> str:
        mixed = self._product(self._attention(hidden, name), f"{name}.attention_out")
        attended = self._skip_norm(mixed, hidden, f"{name}.attention_out", f"{name}.attention_norm")
        inner = self._product(attended, f"{name}.inner")
        activated = self.node("BiasGelu", [inner, self.weight(f"{name}.inner.bias")], f"{name}.gelu", MICROSOFT)
        outer = self._product(activated, f"{name}.outer")
        return self._skip_norm(outer, attended, f"{name}.outer", f"{name}.outer_norm")

    def _attention(self, hidden: str, name: str) -> str:
        bias, output, weights = self.weight(f"{name}.qkv.bias"), f"{name}.attention", self._weights(f"{name}.qkv")
        if self.activations is None:
            inputs = [hidden, self.constant(f"{name}.qkv", weights), bias, "lengths"]
            return self.node("Attention", inputs, output, MICROSOFT, num_heads=self.heads)
        left, scale, zero, smoothing = self._quantised_input(hidden, f"{name}.qkv", self.activations)
        values, scales, zeros = self._quantised_weights(weights * smoothing[:, None], f"{name}.qkv")
        inputs = [left, values, bias, scale, scales, "lengths", zero, zeros]
        return self.node("QAttention", inputs, output, MICROSOFT, num_heads=self.heads)

    def _product(self, left: str, name: str) -> str:
        """`left` times the named weights, without their bias: the fused operator that follows adds it."""
        weights = self._weights(name)
        if self.activations is None:
            return self.node("MatMul", [left, self.constant(f"{name}.weights", weights)], f"{name}.product")
        left, scale, zero, smoothing = self._quantised_input(left, name, self.activations)
        values, scales, zeros = self._quantised_weights(weights * smoothing[:, None], name)
        inputs = [left, values, scale, scales, zero, zeros]
        return self.node("MatMulIntegerToFloat", inputs, f"{name}.product", MICROSOFT)

    def _weights(self, name: str) -> Array:
        """(inputs, outputs)."""
        return self.state[f"{name}.weight"].T

    def _quantised_input(
        self, left: str, name: str, activations: Mapping[str, Activation]
    ) -> tuple[str, str, str, Array]:
        """The input as unsigned 8 bits, its scale, its zero point, and the factors that its channels were divided by."""
        how = activations[name]
        smoothed = self.node("Mul", [left, self.constant(f"{name}.smoothing", 1 / how.smoothing)], f"{name}.smoothed")
        scale = self.constant(f"{name}.in.scale", np.array(how.scale, dtype=np.float32))
        zero = self.constant(f"{name}.in.zero", np.array(how.zero, dtype=np.uint8))
        return self.node("QuantizeLinear", [smoothed, scale, zero], f"{name}.in"), scale, zero, how.smoothing

    def _quantised_weights(self, weights: Array, name: str) -> tuple[str, str, str]:
        values, scales = quantise(weights, 0, WEIGHT_TOP)
        return (
            self.constant(f"{name}.values", values),
            self.constant(f"{name}.scales", scales[0]),
            self.constant(f"{name}.zeros", np.zeros(scales.shape[1], dtype=np.int8)),
        )

    def _norm(self, inputs: list[str], name: str) -> str:
        return self.node(
            "LayerNormalization",
            [*inputs, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")],
            f"{name}.out",
            epsilon=NORM_EPSILON,
        )

    def _skip_norm(self, product: str, skipped: str, biased: str, norm: str) -> str:
        inputs = [
            product,
            skipped,
            self.weight(f"{norm}.weight"),
            self.weight(f"{norm}.bias"),
            self.weight(f"{biased}.bias"),
        ]
        return self.node("SkipLayerNormalization", inputs, f"{norm}.out", MICROSOFT, epsilon=NORM_EPSILON)

    def pool_and_classify(self, hidden: str) -> str:
        """Mean over the real tokens, then the heads."""
        self.constant("first", np.array(0))
        self.constant("step", np.array(1))
        self.constant("axis.one", np.array([1]))
        self.constant("axis.two", np.array([2]))
        limit = self.node("Squeeze", ["length"], "length.scalar")
        places = self.node(
            "Cast", [self.node("Range", ["first", limit, "step"], "range")], "places", to=TensorProto.INT32
        )
        column = self.node("Unsqueeze", ["lengths", "axis.one"], "lengths.column")
        real = self.node("Cast", [self.node("Less", [places, column], "real")], "mask", to=TensorProto.FLOAT)
        masked = self.node("Mul", [hidden, self.node("Unsqueeze", [real, "axis.two"], "mask.wide")], "masked")
        summed = self.node("ReduceSum", [masked, "axis.one"], "summed", keepdims=0)
        pooled = self.node("Div", [summed, self.node("Cast", [column], "counts", to=TensorProto.FLOAT)], "pooled")
        product = self.node("MatMul", [pooled, self.constant("heads", self.state["heads.weight"].T)], "heads.product")
        return self.node("Add", [product, self.weight("heads.bias")], "logits")
