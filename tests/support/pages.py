"""What stands on the pages of the docs: code blocks, commands and what they are said to print, links, headings."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

REPOSITORY = Path(__file__).parents[2]
PAGES = (REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").glob("*.md")))
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A code block; ``language`` is empty where none is named."""

    page: str
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A line after ``$`` and the lines that are shown below it, if any are."""

    page: str
    line: str
    shown: tuple[str, ...]

    def parts(self) -> list[list[str]]:
        """The words of each command in the pipe, without what is redirected."""
        lexer = shlex.shlex(self.line, posix=True, punctuation_chars="|>")
        lexer.whitespace_split = True
        parts: list[list[str]] = [[]]
        words = iter(lexer)
        for word in words:
            if word == "|":
                parts.append([])
            elif word == ">":
                next(words)
            else:
                parts[-1].append(word)
        return parts


def blocks(page: Path, *languages: str) -> list[Block]:
    """The code blocks of a page in these languages, all if none is named."""
    found = _BLOCK.findall(page.read_text())
    return [
        Block(page.name, language, dedent(text))
        for _, language, text in found
        if not languages or language in languages
    ]


def commands(page: Path) -> Iterator[Command]:
    """Every command that a page shows."""
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
            line, *shown = part.splitlines()
            yield Command(page.name, line, tuple(shown))


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them of headings."""
    text = _BLOCK.sub("", page.read_text())
    return {
        re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).strip().replace(" ", "-") for title in _titles(text)
    }


def links(page: Path) -> list[str]:
    """Where a page leads, without what stands in code blocks."""
    return _LINK.findall(_BLOCK.sub("", page.read_text()))


def _titles(text: str) -> list[str]:
    return _HEADING.findall(text)
