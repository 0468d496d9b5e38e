"""Languages of posts as people write them: short, mixed, styled, broken; and what a source says of them."""

import random
import time

import pytest

from models.language import FEW_LETTERS, Language, Languages, main_code, words_of

ENGLISH = Languages(["en"])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("My parcel is two days late again and nobody answers", "en"),
        ("MY ROUTER IS DEAD AGAIN AND NOBODY ANSWERS", "en"),
        ("Mein Paket ist seit zwei Wochen verschwunden und niemand antwortet", "de"),
        ("¿Dónde está mi pedido? Llevo tres semanas esperando", "es"),
        ("Bonjour, ma commande n'est toujours pas arrivée", "fr"),
        ("荷物がまだ届きません。どうなっていますか", "ja"),
        ("मेरा पार्सल अभी तक नहीं आया है", "hi"),
        ("لم يصل طلبي حتى الآن", "ar"),
    ],
)
def test_a_sentence_is_told_by_its_language(text: str, code: str) -> None:
    assert ENGLISH.of(text) == Language(code, measured=code == "en")


@pytest.mark.parametrize("text", ["lol ok", "@foo no wifi", "ok", "no wifi", "same", "lol", "thank you!", "why tho"])
def test_short_english_stays_measured(text: str) -> None:
    assert ENGLISH.of(text).measured


@pytest.mark.parametrize(
    "text", ["", "👍👍", "@x @y https://t.co/abc", "#norvik #fail", "12:30", "…", "thx m8", "\ud83d"]
)
def test_too_little_text_is_unknown_and_no_fault_of_the_model(text: str) -> None:
    assert ENGLISH.of(text) == Language("und", measured=True)


def test_handles_links_and_tags_say_nothing() -> None:
    text = "@Deutsche_Bahn #Verspätung https://bahn.example/hilfe/fahrgastrechte my train is late again"
    assert words_of(text) == "my train is late again"
    assert ENGLISH.of(text).code == "en"


@pytest.mark.parametrize(
    "text",
    [
        "HTTP://x.example/a1 WWW.example.org/b Pic.x.com/cd my 2nd bag isn't there",
        "__company__ #late [bags] {name} a_b httpx :w/here",
        "".join(map(chr, range(128))).replace("@", ""),
    ],
)
def test_a_handle_or_a_foreign_word_at_the_end_changes_nothing_of_what_is_read_before_it(text: str) -> None:
    assert words_of(f"{text} @handle") == words_of(text)
    assert words_of(f"{text} größe") == f"{words_of(text)} größe"


def test_styled_letters_are_read() -> None:
    assert ENGLISH.of("𝐞𝐯𝐞𝐫𝐲𝐭𝐡𝐢𝐧𝐠 𝐦𝐮𝐬𝐭 𝐠𝐨 𝐭𝐨𝐝𝐚𝐲 𝐨𝐧𝐥𝐲").code == "en"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("My par\u00adcel ne\u00adver ar\u00adrived and no\u00adbody ans\u00adwers", id="soft hyphens"),
        pytest.param("My parcel ne&shy;ver arri&#8203;ved &amp; nobody answers", id="entities"),
        pytest.param("my parcel is two days late again pic.twitter.com/ZlDanyPrzXk", id="picture"),
    ],
)
def test_english_is_told_in_whatever_shape_the_source_sends_it(text: str) -> None:
    assert ENGLISH.of(text) == Language("en", measured=True)


def test_letters_that_were_sent_as_entities_are_read() -> None:
    arabic = "لم يصل طلبي حتى الآن".encode("ascii", "xmlcharrefreplace").decode()
    assert ENGLISH.of(arabic) == Language("ar", measured=False)
    assert words_of("<p><a class='mention'>@<span>nr</span></a> wo ist mein Paket?</p>") == "wo ist mein paket"


def test_between_two_foreign_languages_it_is_unknown_and_not_measured() -> None:
    text = "barang saya tidak sampai lagi, tolong bantu"
    told = ENGLISH.of(text)
    assert told.code in ("id", "ms", "und")
    assert not told.measured


def test_a_romanised_mixture_is_not_taken_for_english() -> None:
    assert not ENGLISH.of("sahi bola customer service maha bekar hai jo sawal inse pucha jata hai").measured


def test_a_foreign_post_is_measured_by_a_model_that_was_measured_in_it() -> None:
    text = "Mein Paket ist seit zwei Wochen verschwunden"
    assert Languages(["en", "de"]).of(text) == Language("de", measured=True)


def test_a_model_that_was_measured_in_nothing_is_measured_in_no_post() -> None:
    nothing = Languages([])
    assert not nothing.of("My parcel is late").measured
    assert not nothing.of("👍").measured


@pytest.mark.parametrize(
    ("given", "code"),
    [("en", "en"), ("en-GB", "en"), ("pt_BR", "pt"), ("DE", "de"), ("iw", "he"), ("in", "id"), ("nb-NO", "no")],
)
def test_what_the_source_says_counts(given: str, code: str) -> None:
    assert main_code(given) == code
    assert Languages(["en"]).of("Wo ist mein Paket? Seit Wochen nichts", given) == Language(code, code == "en")


@pytest.mark.parametrize("given", ["", "und", "zxx", "qme", "qht", "mul", "english", "x", "12", "-"])
def test_a_source_that_does_not_know_is_not_asked(given: str) -> None:
    assert ENGLISH.of("Wo ist mein Paket? Seit drei Wochen keine Antwort", given).code == "de"


def test_every_text_has_a_language() -> None:
    generator = random.Random(5)
    for _ in range(300):
        text = "".join(chr(generator.randrange(0x11_0000)) for _ in range(generator.randrange(60)))
        assert ENGLISH.of(text).code
    assert ENGLISH.of("a\nb\x00c" * 200_000).code


def test_a_foreign_word_needs_more_than_few_letters_or_to_be_plain() -> None:
    assert ENGLISH.of("danke") == Language("und", measured=True)
    assert len("Danke für die schnelle Hilfe") > FEW_LETTERS
    assert ENGLISH.of("Danke für die schnelle Hilfe") == Language("de", measured=False)


@pytest.mark.parametrize(
    "text",
    [
        "㌖" * 300 + "@" * 400 + "㌖" * 300,
        "@" * 1000,
        "a@" * 500,
        ("x" * 64 + "@") * 15,
        "a." * 500,
        "__" + "a" * 998,
        "ﷺ" * 1000,
    ],
)
def test_a_hostile_post_takes_no_longer_than_an_ordinary_one(text: str) -> None:
    began = time.thread_time()
    words_of(text)
    assert time.thread_time() - began < 0.05
