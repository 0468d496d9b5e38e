"""What training sees of a post: the same post as another source or writer would have sent it."""

import random

import pytest

from models.text import normalise
from models.training.augment import CHANGES, MOST_CHARS, Change, augment

POST = "@Tallis why isn't my parcel here yet? It was due on Monday #late https://t.co/x9"
ADDING = [
    "_handles_before",
    "_handles_behind",
    "_passed_on",
    "_links_behind",
    "_tags_behind",
    "_no_matter_before",
    "_no_matter_behind",
    "_smiling",
]
HARD = [
    "",
    " ",
    "@a",
    "#a",
    "https://t.co/x",
    "ok",
    "naïve 👍🏽",
    "\U0001f468\u200d\U0001f469",
    "\ud800 lone",
    "a" * 1400,
]
BY_NAME = {change.__name__: change for _, change in CHANGES}


def test_the_same_seed_shows_the_same_post_and_epochs_differ() -> None:
    def shown(seed: int) -> list[str]:
        generator = random.Random(seed)
        return [augment(POST, generator) for _ in range(200)]

    assert shown(1) == shown(1)
    assert len(set(shown(1))) > 80


def test_about_half_of_the_posts_without_a_handle_stay_as_they_are() -> None:
    generator = random.Random(2)
    same = sum(augment("the parcel isn't here", generator) == "the parcel isn't here" for _ in range(2000))
    assert 900 < same < 1300


def test_about_a_quarter_of_handles_is_hidden() -> None:
    hidden = BY_NAME["hide_handles"]("@Tallis why " * 400, random.Random(1)).count("@user")
    assert 70 < hidden < 130


@pytest.mark.parametrize("name", ADDING)
def test_what_is_added_leaves_every_word_of_the_post(name: str) -> None:
    changed = BY_NAME[name](POST, random.Random(3))
    assert POST in changed
    assert len(changed) > len(POST)


@pytest.mark.parametrize("change", BY_NAME.values(), ids=BY_NAME)
@pytest.mark.parametrize("text", HARD)
def test_any_text_can_be_changed_and_read_again(change: Change, text: str) -> None:
    for seed in range(5):
        normalise(change(text, random.Random(seed)))


def test_slips_and_marks_that_are_left_out_spoil_no_link_address_amount_or_placeholder() -> None:
    whole = "https://example.com/parcels {link} <user> @Tallis #parcels jo.doe@firm.example £59.99 at 10:30"
    for seed in range(50):
        assert BY_NAME["_slips"](whole, random.Random(seed)) == whole
    assert BY_NAME["_without_marks"]("jo.doe@firm.example, please!", random.Random(1)) == "jo.doe@firm.example, please!"
    assert BY_NAME["_without_marks"]("£59.99, at 10:30!", random.Random(1)) == "£59.99 at 10:30"
    assert BY_NAME["_slips"]("the parcel never came", random.Random(1)) != "the parcel never came"


def test_a_post_is_never_emptied() -> None:
    generator = random.Random(4)
    for text in ("@Tallis", "https://t.co/x9", "...", "#"):
        assert all(augment(text, generator).strip() for _ in range(500))


def test_a_long_post_stays_as_it_is() -> None:
    long = "the parcel isn't here. " * (MOST_CHARS // 20)
    assert all(augment(long, random.Random(seed)) == long for seed in range(200))
