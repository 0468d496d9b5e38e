"""Making a vocabulary smaller: what is kept is cut as before, and what isn't falls into smaller pieces, never into nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs torch: make test-train")

import torch

from models.tokens import Tokens
from models.training.network import Network, Shape
from models.training.vocabulary import (
    trimmed,
    trimmed_tokenizer,
    unigram_pieces,
    with_pieces,
    word_pieces,
)
from tests.support.unigram import unigram

WORD_PIECE = Path(__file__).parent / "tiny-2" / "tokenizer.json"
PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁la",
    "te",
    "▁late",
    "▁ร",
    "ร",
    "a",
    "e",
    "l",
    "t",
    "▁",
    "ę",
    "한",
    "▁tarde",
]


def tokens_of(folder: Path, content: dict[str, Any]) -> Tokens:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return Tokens(path, 64)


def pieces_of(content: dict[str, Any]) -> list[str]:
    return [piece for piece, _ in content["model"]["vocab"]]


def test_a_word_piece_vocabulary_keeps_what_occurs_twice_and_single_characters(tmp_path: Path) -> None:
    content = json.loads(WORD_PIECE.read_text(encoding="utf-8"))
    tokens = Tokens(WORD_PIECE, 64)
    kept = word_pieces(["late train", "late again"], tokens, content)
    vocabulary = trimmed_tokenizer(content, kept)["model"]["vocab"]
    assert {"late", "[CLS]", "[SEP]", "[UNK]", "a", "##z"} <= vocabulary.keys()
    assert "train" not in vocabulary
    assert sorted(vocabulary.values()) == list(range(len(kept)))


def test_a_unigram_vocabulary_keeps_what_occurs_and_then_the_likeliest_of_the_measured_languages(
    tmp_path: Path,
) -> None:
    content = unigram(PIECES)
    kept = unigram_pieces(["late"], tokens_of(tmp_path, content), content, most=14)
    small = pieces_of(trimmed_tokenizer(content, kept))
    assert small == ["<s>", "<pad>", "</s>", "<unk>", "▁la", "te", "▁late", "a", "e", "l", "t", "▁", "ę", "▁tarde"][:14]
    assert not {"▁ร", "ร", "한"} & set(small), "Thai and Korean are not measured"


def test_what_is_kept_is_cut_as_before_and_the_rest_into_what_is_left(tmp_path: Path) -> None:
    content = unigram(PIECES)
    before = tokens_of(tmp_path, content)
    kept = [number for number, piece in enumerate(PIECES) if piece != "▁late"]
    after_content = trimmed_tokenizer(content, kept)
    expected = [kept.index(number) for number in before.encode(["tarde"])[0]]
    after = tokens_of(tmp_path, after_content)
    assert after.encode(["tarde"])[0] == expected
    cut = [pieces_of(after_content)[number] for number in after.encode(["late"])[0]]
    assert cut == ["<s>", "▁la", "te", "</s>"]
    assert pieces_of(after_content)[after.encode(["x"])[0][-2]] == "<unk>"


def test_a_network_over_fewer_pieces_says_the_same_of_a_text_of_these(tmp_path: Path) -> None:
    content = unigram(PIECES)
    path = tmp_path / "tokenizer.json"
    before = tokens_of(tmp_path, content)
    torch.manual_seed(1)
    network = Network(Shape(vocabulary=len(PIECES) + 2, positions=16, width=32, layers=2, heads=4, inner=64)).eval()
    ids = torch.tensor(before.encode(["late tarde"]))
    smaller, tokenizer = trimmed(network, path.read_bytes(), ["late tarde"])
    path.write_bytes(tokenizer)
    smaller.eval()
    small_ids = torch.tensor(Tokens(path, 64).encode(["late tarde"]))
    assert smaller.shape.vocabulary == len(pieces_of(json.loads(path.read_text(encoding="utf-8")))) < len(PIECES)
    with torch.no_grad():
        assert torch.equal(network(ids, torch.ones(ids.shape)), smaller(small_ids, torch.ones(ids.shape)))
    assert len(with_pieces(network, range(5), layers=1).layers) == 1
