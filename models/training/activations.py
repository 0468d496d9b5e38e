"""What the activations of a network are, so that int8 can hold them: one scale a matrix, fixed once for all posts.

A fixed scale makes the scores of a post its own: they hang on no other post of its batch, so a post that is read twice is
scored the same. The scale leaves out the few largest values where that brings the rest nearer (least squared error).

Some channels of an activation are ten times as large as the rest, and one scale for all of them would leave the rest few
steps. Dividing each channel by a factor before the product and multiplying the weights by it computes the same and
quantises better (SmoothQuant, Xiao et al. 2023). On the dev posts it halved the distance of the int8 logits to float32.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.onnx_graph import ACTIVATION_TOP, Activation
from models.tokens import Tokens
from models.training.data import Example
from models.training.network import Network
from models.training.predict import predict

Array = NDArray[np.float32]

PRODUCTS = ("qkv", "attention_out", "inner", "outer")
STRENGTH = 0.8
"""Share of an outlier that goes into the weights; least distance to float32 on dev among 0.5, 0.7, 0.8, 0.9, 1."""
ROWS_A_BATCH = 32
"""Tokens of each batch whose activations are kept to choose the scale."""
CLIPS = np.linspace(0.3, 1.0, 29)


def observe(network: Network, examples: Sequence[Example], tokens: Tokens, seed: int) -> dict[str, Activation]:
    """How to quantise the input of each matrix, by its name, as these posts show it; they must not be test posts."""
    peaks: dict[str, Tensor] = {}
    rows: dict[str, list[Tensor]] = defaultdict(list)
    generator = torch.Generator().manual_seed(seed)

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            flat = inputs[0].detach().flatten(0, -2)
            here = flat.abs().amax(dim=0)
            peaks[name] = torch.maximum(peaks.get(name, here), here)
            rows[name].append(flat[torch.randperm(len(flat), generator=generator)[:ROWS_A_BATCH]])

        return note

    hooks = [
        module.register_forward_pre_hook(watch(name))
        for name, module in network.named_modules()
        if name.rpartition(".")[2] in PRODUCTS
    ]
    predict(network, examples, tokens)
    for hook in hooks:
        hook.remove()
    state = dict(network.named_parameters())
    return {
        name: fitted(torch.cat(rows[name]).numpy(), peak.numpy(), state[f"{name}.weight"].detach().numpy())
        for name, peak in peaks.items()
    }


def fitted(rows: Array, peaks: Array, weights: Array) -> Activation:
    """How to quantise an activation: ``rows`` (tokens, channels) of it, each channel's largest magnitude, and the matrix
    (outputs, channels) that it meets.
    """
    smoothing = smoothing_factors(peaks, weights)
    values = (rows / smoothing).ravel()
    low, high = float((-peaks / smoothing).min()), float((peaks / smoothing).max())
    low = max(low, float(values.min()) * 1.1)  # GELU has no large negative values
    candidates = [_range(low * clip, high * clip) for clip in CLIPS]
    errors = [_squared_error(values, scale, zero) for scale, zero in candidates]
    scale, zero = candidates[int(np.argmin(errors))]
    return Activation(smoothing, scale, zero)


def smoothing_factors(peaks: Array, weights: Array) -> Array:
    """What each channel is divided by, and the matrix's column multiplied; geometric mean 1."""
    largest = np.abs(weights).max(axis=0)
    raw = np.maximum(peaks, 1e-3) ** STRENGTH / np.maximum(largest, 1e-4) ** (1 - STRENGTH)
    factors: Array = (raw / np.exp(np.log(raw).mean())).astype(np.float32)
    return factors


def _range(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of unsigned 8 bits over ``low`` to ``high``, zero among them."""
    scale = (max(high, 0.0) - min(low, 0.0)) / ACTIVATION_TOP
    return scale, round(-min(low, 0.0) / scale)


def _squared_error(values: Array, scale: float, zero: int) -> float:
    held = (np.clip(np.rint(values / scale) + zero, 0, ACTIVATION_TOP) - zero) * scale
    return float(np.square(held - values).mean())
