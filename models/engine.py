"""Texts to scores, as the rest of plaint uses it: `Engine.load().score(texts)`."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.manifest import NETWORK, TOKENIZER, Manifest, load_manifest
from models.outputs import Scores, probabilities
from models.session import Session
from models.store import DEFAULT, WEIGHTS
from models.tokens import Tokens

SHIPPED = WEIGHTS / DEFAULT
TOKEN_BUDGET = 512
"""Tokens in a batch, padding counted."""
REMEMBERED = 4096
"""Posts whose scores are kept: a post that is passed on comes again within minutes. About 2 KB each at the most."""

_Key = tuple[int, ...]


class Engine:
    """The shipped classifier. `score` is for one thread at a time."""

    def __init__(self, manifest: Manifest, tokens: Tokens, session: Session, remembered: int) -> None:
        self.version = manifest.name
        self.urgent_threshold = manifest.urgent_threshold
        self.unsure_below = manifest.unsure_below
        self.languages = manifest.languages
        self._calibration = manifest.calibration
        self._tokens = tokens
        self._session = session
        self._remembered = remembered
        self._memory: OrderedDict[_Key, Scores] = OrderedDict()
        self.computed = 0
        """Texts that the network has scored so far."""
        self.known = 0
        """Texts whose scores were known, from the same call or an earlier one."""

    @property
    def runs_on(self) -> str:
        """What computes, for people."""
        return self._session.runs_on

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        threads: int | None = None,
        token_budget: int = TOKEN_BUDGET,
        remembered: int = REMEMBERED,
    ) -> "Engine":
        """The engine over a folder of weights, None for the shipped ones; blocks for a second or less.

        `threads` None uses every core that the process may run on; `remembered` 0 keeps no scores.

        Raises:
            WeightsError: a file is missing, broken or not the one its manifest names.
        """
        folder = SHIPPED if path is None else path
        manifest = load_manifest(folder)
        session = Session(folder / NETWORK, threads, token_budget)
        return cls(manifest, Tokens(folder / TOKENIZER, manifest.max_tokens), session, remembered)

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Scores of each text, in order. Takes any `str`; blocks, so call it off the event loop.

        Texts that read the same once normalised are scored once, here and over the last calls. The
        scores of a text are its own: they hang on no other text of the call.
        """
        keys = [tuple(ids) for ids in self._tokens.encode(texts)]
        known = {key: self._memory[key] for key in keys if key in self._memory}
        new = [key for key in dict.fromkeys(keys) if key not in known]
        self.computed += len(new)
        self.known += len(keys) - len(new)
        known.update(zip(new, self._compute(new), strict=True))
        self._remember(known)
        return [known[key] for key in keys]

    def _compute(self, keys: Sequence[_Key]) -> Iterator[Scores]:
        result = probabilities(self._session.logits(keys), self._calibration)
        rows = (part.tolist() for part in (result.intents, result.sentiments, result.urgencies, result.urgent))
        for intents, sentiments, urgencies, urgent in zip(*rows, strict=True):
            yield Scores(tuple(intents), tuple(sentiments), tuple(urgencies), urgent)

    def _remember(self, scored: dict[_Key, Scores]) -> None:
        for key, scores in scored.items():
            self._memory[key] = scores
            self._memory.move_to_end(key)
        while len(self._memory) > self._remembered:
            self._memory.popitem(last=False)
