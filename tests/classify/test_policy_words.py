"""The policy's words: what they find, and the figures of speech, quotes, addresses and denials that they leave alone."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.policy_match import MAX_CHARS, kinds_in
from classify.policy_words import load_policy_words


def kinds(text: str) -> list[str]:
    """Names of the kinds of words in a text."""
    return [kind.name for kind, _ in kinds_in(text)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Your Norvik heater caught fire while we slept", "safety"),
        ("smoke coming from the Halden dryer, kids upstairs", "safety"),
        ("it smells of gas in the hall since your fitter left", "safety"),
        ("CO alarm went off twice in the night", "safety"),
        ("the charger got hot and melted on my desk", "safety"),
        ("got a nasty shock from the kettle handle", "safety"),
        ("bit on a piece of glass in your granola", "safety"),
        ("bus driver on his phone the whole way", "safety"),
        ("brakes failed on the hill in the Corvo hire car", "safety"),
        ("no heating since Friday with a newborn in the flat", "safety"),
        ("mum has run out of insulin and the parcel is in your depot", "safety"),
        ("the driver wouldn’t let me out of the car", "safety"),
        ("my daughter is in hospital after your prawns", "safety"),
        ("my Lumen account was hacked", "fraud"),
        ("two unauthorised payments on my statement", "fraud"),
        ("a charge that I don't recognise, 219 dollars", "fraud"),
        ("somebody changed my password last night", "fraud"),
        ("there is a loan of 12,000 in my name", "fraud"),
        ("your app shows me other customers' details", "fraud"),
        ("I lost my Lumen card, how do I block it?", "lost card"),
        ("wallet stolen, block the card please", "lost card"),
        ("the whole street is off since this morning", "outage"),
        ("servers are down again", "outage"),
        ("no water for two days now", "outage"),
        ("third time I write to you about this", "repeated contact"),
        ("called you four times", "repeated contact"),
        ("STILL NO RESPONSE FROM FJORDLINE", "repeated contact"),
        ("nobody answers your phone", "repeated contact"),
        ("45 minutes on hold for nothing", "repeated contact"),
    ],
)
def test_words_in_context_are_found(text: str, kind: str) -> None:
    assert kind in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "fire your CEO",
        "this playlist is fire",
        "you are on fire today, Halden",
        "I was shocked at the price",
        "shocking service",
        "got a rude shock from your customer care",
        "the new logo is a bit of plastic tat",
        "twitter exploded over your advert",
        "I am dying for a Halden coffee",
        "your app is a killer feature",
        "life hacks for your Norvik oven",
        "sick of your adverts",
        "the crew had us in stitches",
        "wifi on board would be nice",
        "the second time I stay here, lovely",
        "you lost my bag",
        "is this knife dishwasher safe?",
    ],
)
def test_figures_of_speech_are_left_alone(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "there is no gas leak, I checked, just a slow boiler",
        "it never caught fire, calm down",
        "what if my account was hacked",
        "it isn't dangerous, just ugly",
        "the film “House Fire” is not in your catalogue",
        'your slogan says "no one answers faster"',
        "@GasLeakHelp when do you open?",
        "see https://fjordline.example/account-hacked for hours",
    ],
)
def test_what_is_denied_supposed_quoted_or_addressed_does_not_count(text: str) -> None:
    assert kinds(text) == []


def test_a_denial_does_not_hide_what_is_said_later() -> None:
    assert kinds("no gas leak here but next door there is a gas leak") == ["safety"]


def test_the_phrase_that_was_found_is_given() -> None:
    found = [(kind.name, phrase) for kind, phrase in kinds_in("Your lift is unsafe and nobody answers")]
    assert found == [("safety", "unsafe"), ("repeated contact", "nobody answers")]


def test_words_far_into_a_text_do_not_count() -> None:
    assert kinds("x " * (MAX_CHARS // 2) + "my account was hacked") == []


@given(st.text())
def test_any_text_at_all_is_taken(text: str) -> None:
    assert len(kinds(text)) <= len(load_policy_words().kinds)


def test_lone_surrogates_are_taken() -> None:
    assert kinds("\ud800 my account was hacked \udfff") == ["fraud"]


@pytest.mark.parametrize("text", ["no " * 2000, "someone " * 600, "loan " * 900, "a" * 100_000, '"' * 5000, "@" * 5000])
def test_hostile_text_costs_milliseconds(text: str) -> None:
    started = time.thread_time()
    kinds(text)
    assert time.thread_time() - started < 0.5


def test_every_pattern_of_the_file_compiles_alone_and_no_kind_goes_by_two_names() -> None:
    words = load_policy_words()
    assert len({kind.name for kind in words.kinds}) == len(words.kinds)
    for kind in words.kinds:
        for lines in kind.patterns.values():
            for line in lines.splitlines():
                alone = kind.model_copy(update={"patterns": {"one": line}})
                assert alone.regex(words.sets).startswith(r"\b(?:")
                assert "<" not in alone.regex(words.sets)
