"""``python -m tests.bench.model_shapes``: how far the labels of a post move when a source sends it in another shape.

The real dev posts of ``$PLAINT_DATA`` are labelled as they are and in each shape; the same posts are compared with their own
labels, in points of a hundred. Most shapes mean nothing, and the best figure is none at all; some say something, if little.
"""

import argparse
import html
import re
from collections.abc import Callable
from pathlib import Path

import emoji
import numpy as np

from models.engine import SHIPPED, Engine
from models.evaluation.bootstrap import bootstrap, figure
from models.evaluation.metrics import Floats
from models.training.data import data_folder, read_dev
from tests.bench.readings import Reading, agreement

_HANDLE = re.compile(r"(?<![\w@])@(\w+)")
_LINK = re.compile(r"https?://\S+")
_EDGE = re.compile(r"(?<=[.!?]) ")
_DETAILS = "I have been with you for years and usually do these things in the evening when the house is quiet. "
_FOOTER = (
    "\n\n-- \nJo Miller\nThis e-mail is confidential. If it is not meant for you, notify the sender and delete it."
)
_ANSWERED = "\n\nOn Mon, 3 Nov 2025 at 10:12, Kelda wrote:\n> Thank you for your message.\n> We will come back to you."


def _fediverse(text: str) -> str:
    text = _LINK.sub(
        lambda link: f'<a href="{link[0]}"><span class="invisible">{link[0]}</span></a>', html.escape(text)
    )
    mention = r'<span class="h-card"><a href="https://social.example/@\1" class="mention">@<span>\1</span></a></span>'
    return f"<p>{_HANDLE.sub(mention, text)}</p>"


def _full_width(text: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


SHAPES: dict[str, Callable[[str], str]] = {
    "entities": html.escape,
    "entities in entities": lambda text: html.escape(html.escape(text)),
    "HTML as Mastodon sends it": _fediverse,
    "two line breaks in HTML after each sentence": lambda text: _EDGE.sub("<br><br>", text),
    "a line for each sentence": lambda text: _EDGE.sub("\n", text),
    "tabs for spaces": lambda text: text.replace(" ", "\t"),
    "full-width letters": _full_width,
    "soft hyphens in words": lambda text: re.sub(r"(\w{3})(\w{3,})", "\\1\u00ad\\2", text),
    "ALL CAPITALS": str.upper,
    "no capitals": str.lower,
    "curly quotes": lambda text: text.replace("'", "’"),
    "no apostrophes": lambda text: re.sub(r"(?<=\w)['’](?=\w)", "", text),
    "no punctuation": lambda text: re.sub(r'[.,;:!?"]', "", text),
    "marks five times": lambda text: re.sub(r"([.!?])", r"\1\1\1\1\1", text),
    "no emoji": lambda text: emoji.replace_emoji(text, ""),
    "a smile at the end": lambda text: f"{text} 🙂",
    "tags without #": lambda text: re.sub(r"#(?=\w)", "", text),
    "handles as @USER": lambda text: _HANDLE.sub("@USER", text),
    "handles as <user>": lambda text: _HANDLE.sub("<user>", text),
    "handles as [name]": lambda text: _HANDLE.sub("[name]", text),
    "no handles": lambda text: _HANDLE.sub("", text),
    "links as <url>": lambda text: _LINK.sub("<url>", text),
    "no links": lambda text: _LINK.sub("", text),
    "eight more handles before": lambda text: f"@anna_k @mike_r @jo88 @tomh @li_w @sara99 @kz @benny {text}",
    "six more handles after": lambda text: f"{text} @anna_k @mike_r @jo88 @tomh @li_w @sara99",
    "RT @mike_r:": lambda text: f"RT @mike_r: {text}",
    "one more link": lambda text: f"{text} https://t.co/a1B2c3",
    "a picture of Twitter's": lambda text: f"{text} pic.twitter.com/a1B2c3",
    "four more links": lambda text: f"{text} https://t.co/a1 https://t.co/b2 https://t.co/c3 https://t.co/d4",
    "three more tags": lambda text: f"{text} #monday #uk #thoughts",
    "twelve more tags": lambda text: (
        f"{text} #monday #uk #thoughts #life #today #random #post #daily #fb #week #talk #me"
    ),
    "all in quotes": lambda text: f'"{text}"',
    "said twice": lambda text: f"{text} {text}",
    "cut after 110 characters": lambda text: text if len(text) <= 110 else f"{text[:110].rsplit(' ', 1)[0]}…",
    "Sent from my iPhone": lambda text: f"{text}\n\nSent from my iPhone",
    "a signature below": lambda text: text + _FOOTER,
    "the answered mail below": lambda text: text + _ANSWERED,
    "60 words of no matter before": lambda text: _DETAILS * 3 + text,
    "60 words of no matter after": lambda text: f"{text} {_DETAILS * 3}",
    "400 words of no matter before": lambda text: _DETAILS * 20 + text,
    "400 words of no matter after": lambda text: f"{text} {_DETAILS * 20}",
}


def row(name: str, true: Reading, plain: Reading, shaped: Reading) -> str:
    """A row of the table: how many posts get another intent, and each measure's difference with its interval."""

    def difference(weights: Floats) -> dict[str, Floats]:
        before, after = agreement(true, plain, weights), agreement(true, shaped, weights)
        return {measure: 100 * (after[measure] - before[measure]) for measure in before}

    found = map(figure, bootstrap(len(true.intents), difference).values())
    cells = ["" if one is None else f"{one.value:+.1f} ({one.low:+.1f} to {one.high:+.1f})" for one in found]
    return f"| {name} | {np.mean(plain.intents != shaped.intents):.1%} | {' | '.join(cells)} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    engine, posts = Engine.load(arguments.weights), read_dev(data_folder())
    texts = [post.text for post in posts]
    true, plain = Reading.of(posts), Reading.by(engine, texts)
    names = list(agreement(true, plain, np.ones((1, len(posts)))))
    print(f"{len(posts)} dev posts, {engine.version}\n")
    print(f"| the same post with | another intent | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for name, shape in SHAPES.items():
        print(row(name, true, plain, Reading.by(engine, [shape(text) for text in texts])), flush=True)


if __name__ == "__main__":
    main()
