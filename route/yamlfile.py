"""YAML written by people, read with PyYAML's safe loader: plain data, and the line of each key for messages.

Stricter than the loader alone: a key that stands twice is refused rather than the last one winning, and so are anchors
(a small file can stand for a huge one), tags and nesting beyond reason.
"""

import errno
import io
import os
import select
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from schemas.faults import Fault, FaultsFound

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 30
MAX_NODES = 50_000
"""Keys, values and lists of a file; reading so many takes some seconds."""
PIPE_S = 10.0
"""A file may be a pipe, such as ``<(sops -d plaint.yaml)`` in a shell; one that says nothing for so long is given up."""

KeyPath = tuple[str | int, ...]
Lines = Mapping[KeyPath, int]


class FileInvalid(FaultsFound):
    """A file that a person wrote can't be used; its faults are in the order of the file."""


class _StrictLoader(yaml.SafeLoader):
    """Refuses what a person can only have written by mistake."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.composer.ComposerError(None, None, "anchors and aliases are not supported", event.start_mark)
        if getattr(event, "tag", None):
            raise yaml.composer.ComposerError(None, None, "tags are not supported", event.start_mark)
        if self._depth == MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, "nested too deeply", event.start_mark)
        if self._nodes == MAX_NODES:
            raise yaml.composer.ComposerError(None, None, f"more than {MAX_NODES:,} values", event.start_mark)
        self._nodes += 1
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if isinstance(node, yaml.ScalarNode) and any("\ud800" <= char <= "\udfff" for char in node.value):
            what = "holds half a character (U+D800 to U+DFFF)"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # a date such as 2026-99-99, a number of thousands of digits
            what = f"holds a value that is none: {str(error).partition(';')[0]}"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from None

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):  # which is also what a {{ placeholder }} is that nothing filled in
                what = "a key is a map or a list: put it in quotes, or fill in the template"
                raise yaml.composer.ComposerError(None, None, what, key.start_mark)
            if key.value in keys:
                raise yaml.composer.ComposerError(None, None, f'the key "{key.value}" stands twice', key.start_mark)
            keys.add(key.value)
        return node


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """The data in ``path`` and the line (from 1) of each key and item, by its path. Raises FileInvalid."""
    return read_yaml_bytes(read_bytes(path), path.name)


def read_bytes(path: Path) -> bytes:
    """What is in the file. Raises FileInvalid if it can't be read or is too large."""
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            raw = b"".join(_parts(file))
            size = len(raw) if len(raw) <= MAX_BYTES else max(len(raw), path.stat().st_size)
    except OSError as error:
        what = f"can't be read: {error.strerror}"
        raise _invalid(str(path.absolute()), what, "give the path of a readable file") from None
    if size > MAX_BYTES:
        raise _invalid(path.name, f"has {size:,} bytes", f"keep it under {MAX_BYTES:,}")
    return raw


def _without_waiting(path: str, flags: int) -> int:
    """A file's descriptor, of a named pipe also before somebody writes to it. Raises OSError."""
    return os.open(path, flags | os.O_NONBLOCK)


def _parts(file: io.FileIO) -> Iterator[bytes]:
    """All of it, or a byte more than may be there. Raises OSError, also for a pipe that nobody writes to."""
    left = MAX_BYTES + 1
    ready = select.poll()
    ready.register(file, select.POLLIN)
    while left:
        if not ready.poll(PIPE_S * 1000):
            raise TimeoutError(errno.ETIMEDOUT, f"it is a pipe to which nobody has written for {PIPE_S:g} s")
        part = file.read(left)
        if not part:
            return
        left -= len(part)
        yield part


def read_yaml_bytes(raw: bytes, name: str) -> tuple[Any, Lines]:
    """The same for bytes at hand; ``name`` stands in the messages."""
    try:
        return parse_yaml(raw.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise _invalid(name, f"is not UTF-8 at byte {error.start}", "save it as UTF-8") from None


def parse_yaml(text: str, name: str) -> tuple[Any, Lines]:
    """The same for text at hand; ``name`` stands in the messages."""
    lines: dict[KeyPath, int] = {}
    try:
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _note_lines(node, (), lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise _invalid(place, f"{error.problem or error.context}", "mend the YAML there") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
        raise _invalid(f"{name}:{line}", what, "remove it or write it as an escape") from None


def _note_lines(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*path, index), lines)


def _invalid(place: str, what: str, mend: str) -> FileInvalid:
    return FileInvalid([Fault(place, what, mend)])
