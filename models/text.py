"""What the network reads of a post: one normalising for training and serving.

`normalise` takes any `str` (lone surrogates, NUL, a megabyte of text) and never raises. Its result is valid Unicode,
at most a few thousand characters, on one line. What it decides, and why:

- **Handles keep their words** (`@AmericanAir` becomes `@American Air`): a post's target is half of what tells a complaint
  from chatter, and the encoder has read the names of firms. Numbers as handles say nothing and become `@user`; of a run
  of handles the first three stay. Training hides handles at random, so that an unknown firm is no stranger.
- **A URL is one word**, so are e-mail addresses and long numbers: WordPiece would spend ten tokens on each.
- **Emoji become words**, since English WordPiece maps every one of them to `[UNK]`.
- **Placeholders** of anonymised posts (`__company__`, `<user>`, `{link}`) read as what they stand for.
- **Long posts keep their head and their tail**: the matter stands first and the demand last.
"""

import re
from functools import lru_cache

import emoji

from models.source_text import as_written, head_and_tail, plain_unicode

MAX_CHARS = 3000
"""Longer posts are cut to their first three quarters and last quarter of this many characters once they read as written."""

_MAX_HANDLE_CHARS = 32
_MAX_LEADING_HANDLES = 3

_BRACKETS = ("<{}>", "[{}]", "{{{}}}", "{{{{{}}}}}", "__{}__")
_PLACEHOLDERS = {
    **{form.format(word): " http " for form in _BRACKETS for word in ("url", "link")},
    **{form.format(word): "@user" for form in _BRACKETS for word in ("user", "username", "mention", "handle")},
    "<number>": " number ",
    "<email>": " email ",
    "@mention": "@user",
    "__company__": "@company",
    "__cust__": "@user",
}
_PLACEHOLDER = re.compile(rf"@?(?=[<\[{{_@])({'|'.join(map(re.escape, _PLACEHOLDERS))})", re.IGNORECASE)
"""What it looks ahead for is how they begin: most of a text is passed over at once."""
_URL = re.compile(r"(?:https?://|\bwww\.|\bt\.co/|pic\.(?:twitter|x)\.com/)\S+", re.IGNORECASE)
_EMAIL = re.compile(r"(?<![@\w.])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63}){1,4}")
_HANDLE = re.compile(r"(?<![\w@])@(\w{1,64})(?:\.bsky\.social|@[\w-]+(?:\.[\w-]+)+)?")
_LEADING_HANDLES = re.compile(r"^(?:\.?@\w+[\s,:]*){4,}")
_LEADING_HANDLE = re.compile(r"\.?@\w+[\s,:]*")
_HASHTAG = re.compile(r"#(\w{1,64})")
_WORD_JOINT = re.compile(r"_+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONG_NUMBER = re.compile(r"\d[\d-]{5,}")
_REPEATED = re.compile(r"(\D)\1{2,}")
_EMOJI_RANGE = "[\u00a9\u00ae\u203c\u2049\u20e3\u2122-\u3299\U0001f000-\U0001faff]"
_MAYBE_EMOJI = re.compile(_EMOJI_RANGE)
_REPEATED_EMOJI = re.compile(f"({_EMOJI_RANGE})\\1+")
_NOT_PRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff0-\uffff\ue000-\uf8ff\U000e0000-\U0010ffff]"
)
"""Control characters, soft hyphens, zero-width and bidi marks, variation selectors, private use, noncharacters."""


def normalise(text: str) -> str:
    """The text as the tokenizer gets it, in training and in serving alike; never raises."""
    text = head_and_tail(as_written(text), MAX_CHARS)
    if not text.isascii():
        text = plain_unicode(_emoji_as_words(text))[: 2 * MAX_CHARS]
    text = _PLACEHOLDER.sub(_placeholder, text)
    text = _URL.sub(" http ", text)
    if "@" in text:
        text = _HANDLE.sub(_handle, _fewer_handles(_EMAIL.sub(" email ", text).lstrip()))
    if "#" in text:
        text = _HASHTAG.sub(_hashtag, text)
    text = _LONG_NUMBER.sub(_number, _NOT_PRINTABLE.sub("", text))
    return " ".join(_REPEATED.sub(r"\1\1", text).split())


def _emoji_as_words(text: str) -> str:
    return (
        str(emoji.replace_emoji(_REPEATED_EMOJI.sub(r"\1", text), _emoji_words)) if _MAYBE_EMOJI.search(text) else text
    )


@lru_cache(maxsize=4096)
def _emoji_name(symbol: str) -> str:
    return str(emoji.demojize(symbol)).strip(":").replace("_", " ").replace(":", " ")


def _emoji_words(symbol: str, _: dict[str, str]) -> str:
    return f" {_emoji_name(symbol)} "


def _placeholder(match: re.Match[str]) -> str:
    return _PLACEHOLDERS[match[1].lower()]


def _handle(match: re.Match[str]) -> str:
    name = match[1][:_MAX_HANDLE_CHARS]
    return "@user" if name.isdecimal() else f"@{_words(name)} "


def _fewer_handles(text: str) -> str:
    run = _LEADING_HANDLES.match(text)
    if run is None:
        return text
    kept = _LEADING_HANDLE.findall(run[0])[:_MAX_LEADING_HANDLES]
    return "".join(kept) + text[run.end() :]


def _hashtag(match: re.Match[str]) -> str:
    return f"#{_words(match[1])} "


def _words(name: str) -> str:
    """`DataBreach_2024` as `Data Breach 2024`."""
    return _WORD_JOINT.sub(" ", name)


def _number(match: re.Match[str]) -> str:
    """Six digits and more are an order, an account, a telephone: only that there is one counts."""
    return match[0] if sum(map(str.isdigit, match[0])) < 6 else "number"
