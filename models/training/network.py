"""The network: a BERT-shaped encoder, its mean pooled, four linear heads in one.

Written out instead of taken from a library so that its export holds what serving needs and nothing else: one matrix for
query, key and value, and token type 0 folded into the positions. BERT's shape, or MPNet's (Song et al. 2020), which adds
a learned bias by distance to the attention scores. `models.training.bases` has the pretrained weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.outputs import WIDTH

FARTHEST = 128
"""Distances from here on share a bias."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of an encoder; the defaults are those of all-MiniLM-L6-v2."""

    vocabulary: int = 30522
    positions: int = 128
    width: int = 384
    layers: int = 6
    heads: int = 12
    inner: int = 1536
    epsilon: float = 1e-12
    """Of the norms."""
    distances: int = 0
    """Buckets of distances with a bias each; 0: attention knows no distances, as in BERT."""
    one_query: bool = False
    """The last layer has one query a post, the mean of its tokens, instead of one a token: only their mean is read anyway,
    and a layer is spared but for its keys and values. Not with `distances`: a mean is nowhere."""

    def __post_init__(self) -> None:
        if self.one_query and self.distances:
            raise ValueError("one_query and distances don't go together")


class Layer(nn.Module):
    """Self-attention and feed-forward, each followed by its residual and norm (post-norm)."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.heads, self.head_width = shape.heads, shape.width // shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.attention_out = nn.Linear(shape.width, shape.width)
        self.attention_norm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.inner = nn.Linear(shape.width, shape.inner)
        self.outer = nn.Linear(shape.inner, shape.width)
        self.outer_norm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, bias: Tensor, asking: Tensor | None = None) -> Tensor:
        """What becomes of `asking` (batch, queries, width), None for `hidden`, over the tokens of `hidden` (batch, length,
        width). `bias`, (batch, 1, 1, length) or (batch, heads, length, length), is added to the attention scores.
        """
        query, key, value = self.qkv(hidden).chunk(3, dim=-1)
        if asking is None:
            asking = hidden
        else:
            query = self.qkv(asking).chunk(3, dim=-1)[0]
        query, key, value = (self._by_head(part) for part in (query, key, value))
        scores = query @ key.transpose(2, 3) * self.head_width**-0.5 + bias
        mixed = self.dropout(scores.softmax(dim=-1)) @ value
        mixed = self.attention_out(mixed.transpose(1, 2).flatten(2))
        attended = self.attention_norm(asking + self.dropout(mixed))
        inner = self.outer(functional.gelu(self.inner(attended)))
        normed: Tensor = self.outer_norm(attended + self.dropout(inner))
        return normed

    def _by_head(self, part: Tensor) -> Tensor:
        """(batch, tokens, width) to (batch, heads, tokens, head width)."""
        return part.unflatten(2, (self.heads, self.head_width)).transpose(1, 2)


class Network(nn.Module):
    """Token ids to logits of `models.outputs.WIDTH`: intents, sentiments, urgencies, urgent."""

    def __init__(self, shape: Shape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width)
        if shape.distances:
            self.distances = nn.Embedding(shape.distances, shape.heads)
        self.norm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.layers))
        self.heads = nn.Linear(shape.width, WIDTH)
        nn.init.normal_(self.heads.weight, std=0.02)
        nn.init.zeros_(self.heads.bias)

    def embeddings(self) -> list[nn.Module]:
        """All that lies below the layers."""
        below: list[nn.Module] = [self.words, self.positions, self.norm]
        return [*below, self.distances] if self.shape.distances else below

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """`ids` (batch, length) int64; `mask` (batch, length) float, 1 for tokens and 0 for padding."""
        hidden = self.words(ids) + self.positions.weight[: ids.shape[1]]
        hidden = self.dropout(self.norm(hidden))
        bias = (1.0 - mask)[:, None, None, :] * -10000.0
        if self.shape.distances:
            bias = bias + self.distances(distance_buckets(ids.shape[1], self.shape.distances)).permute(2, 0, 1)
        whole = len(self.layers) - 1 if self.shape.one_query else len(self.layers)
        for layer in self.layers[:whole]:
            hidden = layer(hidden, bias)
        weights = mask[:, :, None]
        pooled = (hidden * weights).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
        for layer in self.layers[whole:]:
            pooled = layer(hidden, bias, pooled)
        logits: Tensor = self.heads(self.dropout(pooled[:, 0]))
        return logits


def distance_buckets(length: int, buckets: int) -> Tensor:
    """(length, length) int64: the bucket of each position's distance to each other one (Raffel et al. 2020, section 2.1).

    Half of the buckets are for what comes before, half for what comes after; of each half one half is for a distance
    each, the rest for ever wider ranges up to `FARTHEST`.
    """
    half, exact = buckets // 2, buckets // 4
    position = torch.arange(length)
    distance = position[None, :] - position[:, None]
    far = distance.abs().clamp(min=1).float()
    wide = exact + (torch.log(far / exact) / math.log(FARTHEST / exact) * (half - exact)).long()
    bucket = torch.where(distance.abs() < exact, distance.abs(), wide.clamp(max=half - 1))
    return bucket + half * (distance > 0)
