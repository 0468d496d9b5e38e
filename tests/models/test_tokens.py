"""Posts become ids that the network can take, however long they are."""

from pathlib import Path

import pytest

from models.tokens import Tokens

TOKENIZER = Path(__file__).parent / "tiny-2" / "tokenizer.json"


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens(TOKENIZER, 16)


def test_ids_start_and_end_with_the_special_tokens(tokens: Tokens) -> None:
    (empty,), (words,) = tokens.encode([""]), tokens.encode(["late again"])
    assert len(empty) == 2
    assert [words[0], words[-1]] == empty
    assert len(words) == 4


def test_long_posts_keep_their_first_and_last_ids(tokens: Tokens) -> None:
    text = "one two three four five six seven eight nine ten again late train bus car water"
    full = Tokens(TOKENIZER, 128).encode([text])[0]
    cut = tokens.encode([text])[0]
    assert len(full) == 18
    assert cut == full[:12] + full[-4:]


def test_texts_keep_their_order_and_case_does_not_matter(tokens: Tokens) -> None:
    late, on_time, shouted = tokens.encode(["late", "on time", "LATE"])
    assert late == shouted != on_time
