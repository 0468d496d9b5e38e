"""Which texts have nothing to read in them."""

import pytest

from classify.text import is_blank


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\r\n\x0b\x0c\u00a0\u2003\u2028\u2029\u3000",
        "\x00\x1b\x7f\x85",
        "\u200b\u200c\u200d\u2060\ufeff\u00ad",
        "\u200e\u200f\u202a\u202e\u2066\u2069",
        "\u2800\u3164\u115f\u1160\uffa0\u034f\ufe0f",
        "\U000e0041\U000e007f",
        "\ud800",
        "\u200b" * 100_000,
    ],
)
def test_white_space_and_invisible_characters_are_nothing(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize(
    "text", [".", "\u200b.\u200b", "😡", "\U0001fae8", "\uf8ff", "é", "\u0301", "ㅠ", "⠁", "\ufffd"]
)
def test_anything_that_can_be_seen_is_something(text: str) -> None:
    assert not is_blank(text)
