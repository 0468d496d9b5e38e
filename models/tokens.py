"""Posts to token ids: the tokenizer of the weights, WordPiece or Unigram, and the cut to what the network reads."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from models.text import normalise


class Tokens:
    """Normalises and tokenises posts; the ids, marks of beginning and end among them, number at most `limit`."""

    def __init__(self, path: Path, limit: int) -> None:
        """Raises whatever `tokenizers` does on a file that it can't read (a bare `Exception`)."""
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._head = limit * 3 // 4
        self._tail = limit - self._head
        self._limit = limit

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text in order. Too long ones keep their first three quarters and last quarter of ids."""
        encodings = self._tokenizer.encode_batch_fast([normalise(text) for text in texts])
        return [self._cut(encoding.ids) for encoding in encodings]

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self._limit else ids[: self._head] + ids[-self._tail :]
