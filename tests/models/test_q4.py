"""The file of 4-bit blocks that the multilingual encoder comes in."""

import struct
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs torch: make test-train")

from models.training.q4 import Q4Error, read_q4

WIDTH, INNER, VOCABULARY, POSITIONS = 32, 64, 5, 4
GENERATOR = np.random.default_rng(1)
Floats = NDArray[np.float32]


def matrix(rows: int, columns: int) -> Floats:
    """Values that blocks of 4 bits hold exactly: a quarter of -8 to 7."""
    return (GENERATOR.integers(-8, 8, (rows, columns)) / 4).astype(np.float32)


def vector(*shape: int) -> Floats:
    return GENERATOR.normal(size=shape).astype(np.float32)


def packed(values: Floats) -> bytes:
    """Blocks of 32 as the format has them, each with a scale of a quarter."""
    blocks = (values.reshape(-1, 32) * 4 + 8).astype(np.uint8)
    halves = blocks[:, :16] | blocks[:, 16:] << 4
    return b"".join(struct.pack("<e", 0.25) + half.tobytes() for half in halves)


def file_of(tensors: Mapping[str, Floats], pieces: bytes = b"<s>late") -> bytes:
    head = b"E5S1" + struct.pack("<I7ifi", 1, WIDTH, 1, 4, INNER, VOCABULARY, POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<5iQ", 2, 0, 2, 1, 3, len(pieces)) + struct.pack("<3I2f", 0, 3, 7, 0.0, -1.0) + pieces
    head += struct.pack("<iI", 1, 6) + b"a pair" + struct.pack("<i", len(tensors))
    contents = [packed(one) if is_matrix(name) else one.tobytes() for name, one in tensors.items()]
    start = len(head) + sum(2 + len(name) + 21 for name in tensors)
    for (name, one), content in zip(tensors.items(), contents, strict=True):
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", int(is_matrix(name)), one.size, start, len(content))
        start += len(content)
    return head + b"".join(contents)


def is_matrix(name: str) -> bool:
    return name == "emb.word" or (name.startswith("l0") and name.endswith(".w") and "ln" not in name)


def tensors() -> dict[str, Floats]:
    found = {"emb.word": matrix(VOCABULARY, WIDTH), "emb.pos": vector(POSITIONS, WIDTH), "emb.type": vector(2, WIDTH)}
    found |= {"emb.ln.w": vector(WIDTH), "emb.ln.b": vector(WIDTH)}
    for name, rows, columns in (
        ("fi", INNER, WIDTH),
        ("fo", WIDTH, INNER),
        *((n, WIDTH, WIDTH) for n in ("q", "k", "v", "ao")),
    ):
        found |= {f"l0.{name}.w": matrix(rows, columns), f"l0.{name}.b": vector(rows)}
    for name in ("aln", "oln"):
        found |= {f"l0.{name}.w": vector(WIDTH), f"l0.{name}.b": vector(WIDTH)}
    return found


def test_every_tensor_is_read_under_its_name_in_bert() -> None:
    given = tensors()
    read = {name: tensor.numpy() for name, tensor in read_q4(file_of(given)).items()}
    assert len(read) == len(given)
    layer = "encoder.layer.0"
    for ours, name in (
        ("emb.word", "embeddings.word_embeddings.weight"),
        ("emb.pos", "embeddings.position_embeddings.weight"),
        ("l0.q.w", f"{layer}.attention.self.query.weight"),
        ("l0.ao.b", f"{layer}.attention.output.dense.bias"),
        ("l0.fi.w", f"{layer}.intermediate.dense.weight"),
        ("l0.fo.w", f"{layer}.output.dense.weight"),
        ("l0.aln.w", f"{layer}.attention.output.LayerNorm.weight"),
        ("l0.oln.b", f"{layer}.output.LayerNorm.bias"),
    ):
        assert np.array_equal(read[name], given[ours]), name


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"PK\x03\x04 a zip", "doesn't begin with E5S1"), (file_of(tensors())[:400], "cut short"), (b"E5S1", "cut short")],
    ids=["another file", "half of one", "nothing behind the magic"],
)
def test_what_is_no_such_file_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(Q4Error, match=told):
        read_q4(content)
