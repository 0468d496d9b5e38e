"""Makes a tokenizer and the embeddings beneath a network smaller: the pieces to keep, and what is left with them alone."""

import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.tokens import Tokens
from models.training.network import Network

Content = dict[str, Any]
"""Of a tokenizer.json."""

RARE = 2
"""A word piece is kept when it occurs this often in the training posts, or is a single character."""
UNIGRAM_PIECES = 64_000
"""Of a multilingual vocabulary so many are kept: 8-bit embeddings of 25 MB at a width of 384."""
_WORD_BEGINS = "\u2581"
_LATIN = set("abcdefghijklmnopqrstuvwxyzßàáâãäçèéêëìíîïñòóôõöùúûüÿąćęğıłńœśşźżæ")
_SCRIPTS = ("ARABIC", "DEVANAGARI", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "CJK", "IDEOGRAPHIC")
"""As the names of characters begin in Unicode; of Latin letters those that the measured languages write."""


def _special_pieces(content: Content) -> list[str]:
    return [token["content"] for token in content["added_tokens"]]


def word_pieces(texts: Sequence[str], tokens: Tokens, content: Content) -> list[int]:
    """Ids to keep of a WordPiece vocabulary, rising."""
    counts, special = _counts(texts, tokens), set(_special_pieces(content))
    return sorted(
        number
        for piece, number in content["model"]["vocab"].items()
        if piece in special or len(piece.removeprefix("##")) == 1 or counts[number] >= RARE
    )


def unigram_pieces(texts: Sequence[str], tokens: Tokens, content: Content, most: int = UNIGRAM_PIECES) -> list[int]:
    """Ids to keep of a Unigram vocabulary, rising: what occurs in the texts, single characters of the measured languages'
    scripts, and of their other pieces the likeliest, up to `most` in all; of the former none is left out."""
    counts, special = _counts(texts, tokens), set(_special_pieces(content))
    pieces: list[tuple[str, float]] = content["model"]["vocab"]
    written = {number for number, (piece, _) in enumerate(pieces) if _is_written(piece)}
    needed = {
        number
        for number, (piece, _) in enumerate(pieces)
        if piece in special or counts[number] or (number in written and len(piece.removeprefix(_WORD_BEGINS)) <= 1)
    }
    others = sorted(written - needed, key=lambda number: (-pieces[number][1], number))
    return sorted(needed.union(others[: max(0, most - len(needed))]))


def _counts(texts: Sequence[str], tokens: Tokens) -> Counter[int]:
    return Counter(number for ids in tokens.encode(texts) for number in ids)


def _is_written(piece: str) -> bool:
    """Whether all its letters are of the measured languages."""
    return all(not letter.isalpha() or _is_of_ours(letter) for letter in piece)


def _is_of_ours(letter: str) -> bool:
    return letter.lower()[0] in _LATIN or unicodedata.name(letter, "").split(" ")[0] in _SCRIPTS


def trimmed_tokenizer(content: Content, kept: Sequence[int]) -> Content:
    """The file's content with these pieces alone, numbered in their order; special ones must be among them."""
    trimmed: Content = json.loads(json.dumps(content))
    model = trimmed["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][number] for number in kept]
        model["unk_id"] = list(kept).index(content["model"]["unk_id"])
        ids = {piece: number for number, (piece, _) in enumerate(model["vocab"])}
    else:
        pieces = {number: piece for piece, number in content["model"]["vocab"].items()}
        ids = model["vocab"] = {pieces[old]: new for new, old in enumerate(kept)}
    for token in trimmed["added_tokens"]:
        token["id"] = ids[token["content"]]
    for token in trimmed["post_processor"]["special_tokens"].values():
        token["ids"] = [ids[piece] for piece in token["tokens"]]
    return trimmed


def with_pieces(network: Network, kept: Sequence[int], layers: int | None = None) -> Network:
    """A network over these pieces alone, with all else as it is; or with its lowest layers only."""
    shape = replace(network.shape, vocabulary=len(kept), layers=layers or network.shape.layers)
    smaller = Network(shape)
    whole = network.state_dict()
    state = {name: whole[name] for name in smaller.state_dict()}
    state["words.weight"] = state["words.weight"][list(kept)]
    smaller.load_state_dict(state)
    return smaller


def trimmed(network: Network, tokenizer: bytes, texts: Sequence[str]) -> tuple[Network, bytes]:
    """The network over the pieces that a Unigram tokenizer keeps for these texts, and that tokenizer with these alone."""
    content: Content = json.loads(tokenizer)
    with TemporaryDirectory() as folder:
        whole = Path(folder) / "tokenizer.json"
        whole.write_bytes(tokenizer)
        kept = unigram_pieces(texts, Tokens(whole, limit=10_000), content)
    return with_pieces(network, kept), json.dumps(trimmed_tokenizer(content, kept), ensure_ascii=False).encode()
