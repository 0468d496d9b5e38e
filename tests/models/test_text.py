"""What the network gets to read, for everything that a post can hold."""

import random
import time

import pytest

from models.text import MAX_CHARS, normalise


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        pytest.param("  two\n\nlines\tand\r\n more ", "two lines and more", id="white space"),
        pytest.param("fish &amp; chips &lt;3 &#39;ere", "fish & chips <3 'ere", id="HTML entities"),
        pytest.param("see https://t.co/AbC123?x=1 now", "see http now", id="URL"),
        pytest.param("see www.kelda.example/help", "see http", id="URL without a scheme"),
        pytest.param("see {link} now", "see http now", id="link placeholder"),
        pytest.param("@AmericanCoffeeCo why?", "@American Coffee Co why?", id="handle's words"),
        pytest.param("@northrail_help why?", "@northrail help why?", id="handle with underscore"),
        pytest.param("@115872 why?", "@user why?", id="number as handle"),
        pytest.param("@mention why?", "@user why?", id="handle placeholder"),
        pytest.param("__company__ why?", "@company why?", id="company placeholder"),
        pytest.param("@kelda.bsky.social why?", "@kelda why?", id="Bluesky handle"),
        pytest.param("@kelda@social.example why?", "@kelda why?", id="fediverse handle"),
        pytest.param("@a @b @c @d @e stop", "@a @b @c stop", id="run of handles"),
        pytest.param("write to joe.bloggs@kelda.example today", "write to email today", id="e-mail address"),
        pytest.param("#DataBreach2024 again", "#Data Breach2024 again", id="hashtag's words"),
        pytest.param("order 404-1234567 late by 12 days", "order number late by 12 days", id="long numbers"),
        pytest.param("call <number> now", "call number now", id="number placeholder"),
        pytest.param("sooooo bad!!!!!!", "soo bad!!", id="repeated characters"),
        pytest.param("great 😂😂😂", "great face with tears of joy", id="emoji once"),
        pytest.param("thanks ❤️", "thanks red heart", id="emoji with variation selector"),
        pytest.param("👨‍👩‍👧 trip", "family man woman girl trip", id="joined emoji"),
        pytest.param("from 🇬🇧", "from United Kingdom", id="flag"),
        pytest.param("\ud83d\ude00 hi", "grinning face hi", id="surrogate pair"),
        pytest.param("bad \ud800 half", "bad half", id="lone surrogate"),
        pytest.param("nul\x00led \x1b[31mred", "nulled [31mred", id="NUL and escape"),
        pytest.param("\u202eabc\u202c \u200fdef\u200b", "abc def", id="bidi marks and zero width"),
        pytest.param("𝐅𝐑𝐄𝐄 ｇｉｆｔ", "FREE gift", id="styled alphabets"),
        pytest.param("cafe\u0301", "café", id="combining accent"),
        pytest.param("", "", id="nothing"),
        pytest.param("\u200b\u200e \ufeff", "", id="nothing to see"),
    ],
)
def test_reads(raw: str, read: str) -> None:
    assert normalise(raw) == read


def test_long_text_keeps_its_head_and_its_tail() -> None:
    read = normalise("HEAD " + "word " * 200_000 + "TAIL")
    assert read.startswith("HEAD word")
    assert read.endswith("word TAIL")
    assert len(read) <= MAX_CHARS + 1


@pytest.mark.parametrize(
    "hostile",
    [
        "x" * 1_000_000,
        "@" * 1_000_000,
        "#a" * 500_000,
        "a@" * 500_000,
        "1-" * 500_000,
        "\u0315\u0300" * 500_000,
        "ﷺ" * 500_000,
        "&#" + "9" * 1_000_000 + ";",
        "😂" * 500_000,
        "\ud800" * 1_000_000,
        "http://" * 100_000,
        "&amp;" * 200_000,
    ],
    ids=lambda text: ascii(text[:8]),
)
def test_a_megabyte_of_anything_is_read_at_once_and_stays_short(hostile: str) -> None:
    started = time.thread_time()
    read = normalise(hostile)
    assert time.thread_time() - started < 0.5
    assert len(read) <= 10 * MAX_CHARS
    read.encode("utf-8")


def test_any_string_is_read_as_valid_unicode_without_controls() -> None:
    generator = random.Random(1)
    for _ in range(3000):
        text = "".join(chr(generator.randrange(0x110000)) for _ in range(generator.randrange(60)))
        read = normalise(text)
        read.encode("utf-8")
        assert not any(character in read for character in "\x00\x1b\n\u202e\u200b")


def test_reading_is_stable() -> None:
    once = normalise("@NorthRail_UK delayed AGAIN 😡😡 #NeverAgain https://t.co/x &amp; no refund!!!")
    assert normalise(once) == once
