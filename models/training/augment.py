"""The same post as another source or writer would have sent it, at random: what training sees of a post each time anew.

Public sets have habits that say nothing of a post but go with its label: adverts have links and tags, complaints begin with
handles, posts of one set are all short. A network that learned those is wrong wherever a source has other habits. So each
time that a post is trained on it may gain or lose what doesn't change what it asks for: handles, links, tags, `RT`,
quotation marks, punctuation, slips of the pen, a sentence of no matter before or behind it.
"""

import random
import re
from collections.abc import Callable

HIDE_HANDLE = 0.25
"""Share of handles that become `@user`: the firm of tomorrow's post has never been seen."""
MOST_CHARS = 1500
"""A longer post, of which the network reads head and tail alone, is left as it is."""

_HANDLE = re.compile(r"(?<![\w@])@\w+")
_LINK = re.compile(r"https?://\S+")
_EMAIL = re.compile(r"\w@\w")
_TAG = re.compile(r"#(?=\w)")
_MARKS = re.compile(r'(?<!\d)[.,;:!?"]|[.,;:!?"](?!\d)')
"""Those between digits are part of an amount or a time."""
_WORD = re.compile(r"(?<!\S)[A-Za-z]{4,}(?=[\s.,;!?]|$)")
"""Not in a link, a handle, a tag or a placeholder of one."""
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")

_OF_NAMES = "an be cho da el fi gus hen ira jo ka lin mar nor ola pet qui ra sam tor ulf vi wes xan yu zed"
_SYLLABLES = _OF_NAMES.split()
_OF_NO_MATTER = """
afternoon april autumn berlin blog bored breakfast cardiff chat city coffee commute dad daily day diary
dublin evening facts family feed friday friends fyi goodmorning home hometown houston imo info instadaily
june just kids latenight leeds life lifestyle london lunch mobile mondaymood mum mumbai news newyork
nightshift notes november nowplaying office online people photo pic rain random saturday seattle share
south spring student summer sunday sydney team tech thisweek thread thursday tips today toronto travel
tuesday tweet update usa vibes walk wednesday weekend work workday world
"""
_TAGS = _OF_NO_MATTER.split()
_NO_MATTER = (
    "Writing this from the kitchen table with a cup of tea next to me.",
    "First time on here, still finding my way around.",
    "My sister told me to post, so here I am.",
    "I don't come on here much these days.",
    "We moved to this street about four years ago.",
    "It's raining again and the dog wants out.",
    "I'm on the bus at the moment, so excuse the typing.",
    "My husband does most of this sort of thing in our house.",
    "Both of us work full time and the kids are at school.",
    "A bit of background before I get to it.",
    "Not sure which account is the proper one for this.",
    "I have had the same phone number since I was nineteen.",
    "Lunch break is nearly over, so I'll keep it short.",
    "Hope everybody has a quiet week ahead.",
    "Sorry for the long post.",
    "My neighbour and I were just talking about that.",
    "The weather has been odd all month.",
    "I usually go on Tuesdays because the car park is empty then.",
    "For context, there are five of us in the house.",
    "I'm fifty-three and live a few miles out of town.",
    "Just back from a walk along the canal.",
    "We've been customers since my eldest was born.",
    "I wrote most of this on my phone.",
    "Anyway, that's all from me for now.",
    "Have a nice evening, everyone.",
    "Posting here since a friend said you read these.",
    "I'm in the Leeds area if that matters.",
    "It was a Thursday, if I remember rightly.",
    "The shop is the one next to the station.",
    "I've got two cats and a very small garden.",
    "My colleague sits opposite and uses the same one.",
    "That's about the long and the short of it.",
    "I work nights, so mornings are when I sort things out.",
    "Adding this here so that it is all in one place.",
    "It's the blue one, not that it makes a difference.",
    "I had to look up how to write to you.",
    "Greetings from a sunny balcony.",
    "The radio is on in the background as I type.",
    "We ordered in the spring, I think it was April.",
    "My mother is visiting for the week.",
    "I'm no expert in any of this.",
    "There was hardly anybody about when I went.",
    "Some of you may know me from the allotment group.",
    "It takes me about half an hour to get there.",
    "I don't have much more to add.",
    "Thought I'd put it here rather than in the group.",
    "Typed with one hand, baby asleep on the other arm.",
    "That is how it is where I live, anyway.",
)
"""Sentences that ask for nothing, report no trouble and praise nobody."""

Change = Callable[[str, random.Random], str]
"""A text to one that asks for the same."""


def _name(generator: random.Random) -> str:
    name = "".join(generator.choices(_SYLLABLES, k=generator.randint(2, 4)))
    return f"{name}{generator.choice(['', '', '_', str(generator.randint(1, 99))])}"


def _handles(generator: random.Random, most: int) -> str:
    return " ".join(f"@{_name(generator)}" for _ in range(generator.randint(1, most)))


def _link(generator: random.Random) -> str:
    return f"https://t.co/{_name(generator)}"


def hide_handles(text: str, generator: random.Random) -> str:
    """The text, some of its handles as `@user`."""
    return _HANDLE.sub(lambda match: "@user" if generator.random() < HIDE_HANDLE else match[0], text)


def _without_handles(text: str, _: random.Random) -> str:
    return _HANDLE.sub("", text)


def _named(text: str, _: random.Random) -> str:
    """Handles as names in brackets, as some exports have them."""
    return _HANDLE.sub("[name]", text)


def _handles_before(text: str, generator: random.Random) -> str:
    return f"{_handles(generator, 6)} {text}"


def _handles_behind(text: str, generator: random.Random) -> str:
    return f"{text} {_handles(generator, 6)}"


def _passed_on(text: str, generator: random.Random) -> str:
    return f"RT @{_name(generator)}: {text}"


def _links_behind(text: str, generator: random.Random) -> str:
    links = (_link(generator) for _ in range(generator.choice([1, 1, 1, 2, 3, 5])))
    return f"{text} {' '.join(links)}"


def _without_links(text: str, _: random.Random) -> str:
    return _LINK.sub("", text)


def _tags_behind(text: str, generator: random.Random) -> str:
    tags = generator.sample(_TAGS, generator.choice([1, 2, 3, 4, 6, 9, 13]))
    return f"{text} {' '.join(f'#{tag}' for tag in tags)}"


def _tags_as_words(text: str, _: random.Random) -> str:
    return _TAG.sub("", text)


def _in_quotes(text: str, generator: random.Random) -> str:
    return generator.choice(['"{}"', "“{}”", "'{}'"]).format(text)


def _without_marks(text: str, _: random.Random) -> str:
    return text if _LINK.search(text) or _EMAIL.search(text) else _MARKS.sub("", text)


def _other_apostrophes(text: str, generator: random.Random) -> str:
    return _APOSTROPHE.sub(generator.choice(["’", ""]), text)


def _smiling(text: str, generator: random.Random) -> str:
    return f"{text} {generator.choice(['🙂', ':)', '🙏', '😅', '..', '…', '!!', 'x', 'lol'])}"


def _slips(text: str, generator: random.Random) -> str:
    """In up to three words two letters change places, or one is missing or doubled."""
    words = list(_WORD.finditer(text))
    for match in sorted(
        generator.sample(words, min(len(words), generator.randint(1, 3))), key=lambda one: -one.start()
    ):
        at = match.start() + generator.randint(1, len(match[0]) - 2)
        one, two = text[at], text[at + 1]
        text = text[:at] + generator.choice([two + one, two, one + one + two]) + text[at + 2 :]
    return text


def _no_matter(generator: random.Random) -> str:
    return " ".join(generator.sample(_NO_MATTER, generator.choice([1, 1, 2, 3, 5])))


def _no_matter_before(text: str, generator: random.Random) -> str:
    return f"{_no_matter(generator)} {text}"


def _no_matter_behind(text: str, generator: random.Random) -> str:
    return f"{text} {_no_matter(generator)}"


def _twice(text: str, _: random.Random) -> str:
    return f"{text} {text}"


CHANGES: tuple[tuple[float, Change], ...] = (
    (1.0, hide_handles),
    (0.06, _without_handles),
    (0.03, _named),
    (0.05, _without_links),
    (0.04, _tags_as_words),
    (0.05, _without_marks),
    (0.06, _other_apostrophes),
    (0.06, _slips),
    (0.02, _twice),
    (0.03, _in_quotes),
    (0.04, _no_matter_before),
    (0.04, _no_matter_behind),
    (0.03, _smiling),
    (0.06, _tags_behind),
    (0.09, _links_behind),
    (0.03, _handles_behind),
    (0.04, _handles_before),
    (0.05, _passed_on),
)
"""How often each is made, in this order, each by itself: about half of the posts stay as they are."""


def augment(text: str, generator: random.Random) -> str:
    """The text, changed or not, and never emptied; the same state of ``generator`` gives the same."""
    for chance, change in CHANGES:
        if len(text) <= MOST_CHARS and generator.random() < chance:
            changed = change(text, generator)
            text = changed if changed.strip() else text
    return text
