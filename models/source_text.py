"""What an author wrote, of what a source sends. What reads a post for its triage begins here: plaint's own networks, the words
that raise the urgency, and what tells the language. A network of Hugging Face has a reading of its own.

Sources send the same post in several shapes: Mastodon and feeds as HTML, sets that were exported twice with entities in
entities, mail with what the program put below it. A text that has none of it stays as it is, and no function here raises.
"""

import html
import re
import unicodedata

MOST_READ = 20_000
"""Of a longer text the first three quarters and the last quarter of this many characters are read."""

_BLOCKS = (
    "address|article|blockquote|body|br|center|dd|div|dl|dt|h[1-6]|hr|html|li|ol|p|pre|section"
    "|table|tbody|td|th|thead|tr|ul"
)
_INLINE = "a|abbr|b|big|code|del|em|font|i|img|ins|q|s|small|span|strike|strong|sub|sup|tt|u"
_TAG = re.compile(rf"<(?:/?(?:({_BLOCKS})|{_INLINE})(?:\s[^<>]*|/)?|!--[^<>]*--)>", re.IGNORECASE)
_LEAST_TAGS = 2
"""A single one may be what the author typed: "use <b> for bold"."""

_DEVICE = (
    r"(?:[A-Z0-9]\S{0,20} ){0,4}"  # who made or sold it
    r"(?:iPhone|iPad|iPod|Android|BlackBerry|Galaxy|Huawei|HTC|LG|Nokia|Pixel|Samsung|Xiaomi|Xperia"
    r"|(?:[Ss]mart|[Cc]ell)?[Pp]hone|[Mm]obile|[Tt]ablet|(?:wireless )?[Dd]evice)[®™]?"
    r"(?: (?:\w{0,6}\d\w{0,6}\+?|Edge|Max|Mini|Note|Plus|Pro|Ultra|(?:smart)?phone|tablet|device)){0,3}"
    r"(?: (?:by|using|via|with) [A-Z][^\n]{0,60})?"
)
_SYSTEM = r"(?:Android|iOS|iPad|iPhone|Mac|Windows)\b"
_MAIL_PROGRAM = rf"(?:Mail|Outlook|Proton ?Mail|Yahoo Mail)(?: [Mm]obile)?(?: (?:for|on) {_SYSTEM}(?: \d+)?)?"
_QUOTED_TO_THE_END = r"[ \t\r]*+(?:\n[ \t\r]*+(?:>[^\n]*+)?)*+\Z"
_MAIL_ENDINGS = (
    re.compile(r"\n-- \r?\n"),
    re.compile(r"\n[ \t]*-{3,} ?Original Message ?-{3,}", re.IGNORECASE),
    re.compile(rf"\n[ \t]*On [^\n]{{6,200}}(?:\n[^\n]{{0,100}})?\bwrote:(?=\s*+>){_QUOTED_TO_THE_END}"),
    re.compile(
        rf"\n[ \t]*(?:[Ss]ent from (?:my {_DEVICE}|{_MAIL_PROGRAM})|Get Outlook for {_SYSTEM})"
        rf"\.?(?:\s?[<(\[][^\n]{{0,80}})?{_QUOTED_TO_THE_END}"
    ),
)
"""What a mail program puts below a message: the signature (RFC 3676, 4.3), the message that it answers, an advert. Where
lines follow that aren't quoted, quoted lines and all above them stay: the author answers between or below them."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_WITHIN_WORDS = re.compile("[\u00ad\u034f\u180e\u200b-\u200d\u2060-\u2064\ufeff]")
"""Soft hyphens, joiners and what has no width: within words a space in their place would part these. Marks of direction
stand between words, and end a tag or a handle."""


def as_written(text: str) -> str:
    """The text without HTML and what a mail program puts below it, in valid Unicode, at most MOST_READ characters long."""
    text = head_and_tail(text, MOST_READ)
    if not text.isascii() and _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    if "&" in text:
        text = _without_entities(text)
    if "<" in text:
        text = _without_tags(text)
    return _without_mail_endings(text) if "\n" in text else text


def plain_unicode(text: str) -> str:
    """The text in compatibility forms, composed (NFKC), and without what nobody sees within words.

    NFKC rather than NFC: styled alphabets (bold, circled, full width) are how adverts dress their words.
    """
    return text if text.isascii() else unicodedata.normalize("NFKC", _WITHIN_WORDS.sub("", text))


def head_and_tail(text: str, chars: int) -> str:
    """The first three quarters and the last quarter of so many characters; a text that isn't longer as it is."""
    if len(text) <= chars:
        return text
    head = chars * 3 // 4
    return f"{text[:head]} {text[head - chars :]}"


def _without_entities(text: str) -> str:
    """Twice, since some sets were escaped twice."""
    try:
        return html.unescape(html.unescape(text))
    except ValueError:  # the number of a character has thousands of digits
        return text


def _without_tags(text: str) -> str:
    """A link reads as what it shows; what begins or ends a line begins one here."""
    bare, found = _TAG.subn(lambda tag: "\n" if tag[1] else "", text)
    return bare if found >= _LEAST_TAGS else text


def _without_mail_endings(text: str) -> str:
    """A message of such an ending alone stays."""
    for ending in _MAIL_ENDINGS:
        found = ending.search(text)
        if found is not None and text[: found.start()].strip():
            text = text[: found.start()]
    return text
