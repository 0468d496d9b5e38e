"""Finds the policy's words in a text, and tells what is said from what is quoted, addressed or denied."""

import re
from collections.abc import Iterator

import re2

from classify.policy_words import Words, load_policy_words
from models.source_text import as_written, plain_unicode

MAX_CHARS = 4000
"""Words further on in a text don't count."""
_MAX_PHRASE_CHARS = 60

_QUOTED = re.compile('"[^"]{1,120}"')
_ADDRESS = re.compile(r"@\w+|https?://\S+")
_DENIED = re.compile(
    r"\b(?:(?:no|not|never|without|zero|nor|isn't|wasn't|aren't|weren't|doesn't|don't|didn't)\s+(?:\w+\s+){0,2}"
    r"|if\s+(?:\w+\s+){0,4})$",
    re.IGNORECASE,
)
_DENIED_WITHIN = 40
"""Characters before a phrase in which it may be denied."""
_QUOTES = str.maketrans("’‘ʼ´`“”", "'''''\"\"")


def _compile(pattern: str) -> "re2._Regexp":
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    return re2.compile(pattern, options)


_WORDS = load_policy_words()
_BY_KIND = [(kind, _compile(kind.regex(_WORDS.sets))) for kind in _WORDS.kinds]
"""One automaton a kind: linear in the text, 2 µs a post each. One for all of them outgrows RE2's cache: 50 µs."""


def kinds_in(text: str) -> Iterator[tuple[Words, str]]:
    """Each kind whose words the text says, with the phrase that was found first. Takes any ``str``; never raises."""
    said = _said(text)
    for kind, pattern in _BY_KIND:
        found = pattern.search(said)
        while found is not None:
            start, end = found.span()
            if _DENIED.search(said[max(0, start - _DENIED_WITHIN) : start]) is None:
                yield kind, said[start:end][:_MAX_PHRASE_CHARS]
                break
            found = pattern.search(said, end)


def _said(text: str) -> str:
    """The text on one line and in plain quotes, without what its author quotes and whom it addresses; valid Unicode."""
    # Cut twice: one sign may become eighteen.
    text = plain_unicode(as_written(text)[:MAX_CHARS].translate(_QUOTES))[:MAX_CHARS]
    text = " ".join(text.split())
    if '"' in text:
        text = _QUOTED.sub(" ", text)
    if "@" in text or "://" in text:
        text = _ADDRESS.sub(" ", text)
    return text
