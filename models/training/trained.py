"""What was trained before, to learn from or to go on from: a finished training, or weights as they ship."""

from pathlib import Path

from models.manifest import FLOAT, MANIFEST, TOKENIZER, Manifest, WeightsError, load_manifest, sha256
from models.tokens import Tokens
from models.training.checkpoint import NETWORK, RUN, Run, load_network, load_run
from models.training.network import Network
from models.training.packed import load_packed
from schemas.faults import Fault


class Trained:
    """A folder with a float network in it. Where `faults` finds none, the rest raises none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_run = (folder / NETWORK).is_file()

    def faults(self, place: str) -> list[Fault]:
        """What keeps it from being used; ``place`` is who named the folder."""
        if not self.file.is_file():
            mend = f"give the --run of a finished training, or a folder of weights with a {FLOAT}"
            return [Fault(place, "holds no float network", mend)]
        try:
            self.network()
            self.tokens(limit=8)
            self._about  # noqa: B018 (it reads a file)
        except WeightsError as error:
            what, _, mend = str(error).rpartition(": ")
            return [Fault(place, what, mend)]
        except Exception as error:  # torch and tokenizers raise what they like over a broken file
            what = f"can't be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            return [Fault(place, what, f"it needs {NETWORK}, {RUN} and {TOKENIZER} of one finished training")]
        return []

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
        """The content of its file."""
        return (self.folder / TOKENIZER).read_bytes()

    def tokens(self, limit: int) -> Tokens:
        return Tokens(self.folder / TOKENIZER, limit)

    @property
    def base(self) -> str:
        """Package and sha256 of the pretrained encoder."""
        return self._about.base

    @property
    def is_clear(self) -> bool:
        """Whether it was trained without the sources whose terms are unclear."""
        return self._about.clear

    @property
    def is_corrected(self) -> bool:
        """Whether a team's own posts are in it."""
        about = self._about
        return isinstance(about, Manifest) and about.corrected is not None

    @property
    def _about(self) -> Run | Manifest:
        return load_run(self.folder) if self._is_run else load_manifest(self.folder)

    @property
    def name(self) -> str:
        """For a manifest: what it is called, and a sha256 that says which of that name: a run's network, weights' manifest."""
        if self._is_run:
            return f"{self.folder.resolve().name} {sha256(self.file.read_bytes())}"
        return f"{load_manifest(self.folder).name} {sha256((self.folder / MANIFEST).read_bytes())}"
