"""What was trained before, to learn from or to go on from: a finished training, or weights as they ship."""

import json
from pathlib import Path

from models.manifest import FLOAT, MANIFEST, TOKENIZER, load_manifest, sha256
from models.tokens import Tokens
from models.training.checkpoint import NETWORK, load_network, load_run
from models.training.network import Network
from models.training.packed import load_packed


class Trained:
    """A folder with a float network in it. What reads it raises WeightsError or OSError where it can't be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_run = (folder / NETWORK).is_file()

    @property
    def file(self) -> Path:
        """The network, which tells it from others; it may not be there."""
        return self.folder / (NETWORK if self._is_run else FLOAT)

    def network(self) -> Network:
        """In `.eval()`."""
        if self._is_run:
            return load_network(self.file)
        return load_packed(self.folder, load_manifest(self.folder)).network

    def tokenizer(self) -> bytes:
        return (self.folder / TOKENIZER).read_bytes()

    def tokens(self, limit: int) -> Tokens:
        return Tokens(self.folder / TOKENIZER, limit)

    @property
    def base(self) -> str:
        """Package and sha256 of the pretrained encoder."""
        return load_run(self.folder).base if self._is_run else load_manifest(self.folder).base

    @property
    def is_clear(self) -> bool:
        """Whether it was trained without the sources whose terms are unclear."""
        return load_run(self.folder).clear if self._is_run else load_manifest(self.folder).clear

    @property
    def is_multilingual(self) -> bool:
        return load_run(self.folder).multilingual if self._is_run else load_manifest(self.folder).multilingual

    @property
    def name(self) -> str:
        """For a manifest: what it is called, and a sha256 that says which of that name it is."""
        about = self.folder / ("run.json" if self._is_run else MANIFEST)
        content = about.read_bytes()
        called = self.folder.name if self._is_run else json.loads(content)["name"]
        return f"{called} {sha256(content)}"
