"""What of a text a reader sees."""

from unicodedata import category

_UNSEEN = ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")
"""Controls, formats (joiners, marks of direction, tags), lone surrogates, spaces and separators of any kind. Private and
unassigned characters count as seen: one may be an emoji that is younger than this Python."""
_BLANK_GLYPHS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10))))
"""Letters, marks and symbols that draw nothing: the grapheme joiner, Hangul and Khmer fillers, the empty Braille
pattern, variation selectors."""


def is_blank(text: str) -> bool:
    """Whether nothing is left of ``text`` once white space and invisible characters are gone. Takes any ``str``."""
    return all(category(char) in _UNSEEN or char in _BLANK_GLYPHS for char in text)
