"""Any sequence classifier of Hugging Face in place of the model that ships, through `transformers` and torch.

Its labels mean what the settings say. What it doesn't say, sentiment or urgency, another of its kind says, or else the model
that ships. No code that comes with a model is run. What this machine has of a model is used as it is, and the hub is asked
only for what it hasn't.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.batching import token_batches
from models.choice import ModelChoice, Part
from models.engine import Engine
from models.outputs import Scores, softmax
from models.store import ModelInvalid
from schemas.faults import Fault, one_of
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES, Intent

log = logging.getLogger(__name__)

KEY = "classify.model"
PACKAGES = ("torch", "transformers")
UNSURE_BELOW = 0.5
"""Where the settings don't say it: half of the posts near it are wrong, if the model's probabilities are honest."""
TOKEN_BUDGET = 4096
"""Tokens in a batch, padding counted."""
MAX_TOKENS = 512
TRIED = ("my router is dead and nobody answers", "my router is dead " * MAX_TOKENS)
"""Labelled when a model is loaded: a plain post, and one that is longer than it reads."""
SERIOUS = slice(3, 5)
"""The urgencies of an urgent complaint."""

ORDERS: Mapping[str, tuple[Any, ...]] = {"": INTENTS, "sentiment": SENTIMENTS, "urgency": URGENCIES}
"""What each of the models says, by its key."""


def hugging_face_faults(choice: ModelChoice) -> list[Fault]:
    """What is wrong with these models and their labels, from their configurations alone."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        what = f"needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed"
        return [Fault(f"{KEY}.hugging_face", what, "pip install 'plaint[huggingface]'")]
    return [fault for key, part in choice.parts for fault in _part_faults(key, part)]


def load_hugging_face(choice: ModelChoice, shipped: Callable[[], Engine], threads: int | None = None) -> "HuggingFace":
    """Load these models. `shipped` loads the one that ships, if it has to say what they don't.

    Raises:
        ModelInvalid: with every fault of `hugging_face_faults`, or because a network can't be loaded or labels nothing.
    """
    if faults := hugging_face_faults(choice):
        raise ModelInvalid(faults)
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    heads = {key: _load(key, part) for key, part in choice.parts}
    whole = "sentiment" in heads and "urgency" in heads
    model = HuggingFace(choice, heads, None if whole else shipped())
    if unmeasured := set(choice.languages) - set(model.languages):
        log.warning(
            "what %s does not say comes from %s, which was not measured in %s: such posts are unsure",
            model.version,
            model.shipped_version,
            ", ".join(sorted(unmeasured)),
        )
    if not choice.languages:
        log.warning("%s.languages is empty: every post is unsure until it names those that you measured it in", KEY)
    return model


@dataclass(frozen=True)
class Head:
    """One network, and which of plaint's labels each of its labels means: (its labels, plaint's) of 0 and 1."""

    network: Any
    tokenizer: Any
    meaning: NDArray[np.float32]
    max_tokens: int
    device: str
    version: str

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, plaint's labels), in the order of the texts; those of labels with one meaning are added up."""
        import torch

        readable = [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates are no text to it
        encoded = self.tokenizer(readable, truncation=True, max_length=self.max_tokens)
        found = np.empty((len(texts), self.meaning.shape[1]), dtype=np.float32)
        for positions in token_batches([len(ids) for ids in encoded["input_ids"]], TOKEN_BUDGET):
            rows = {key: [values[position] for position in positions] for key, values in encoded.items()}
            batch = self.tokenizer.pad(rows, return_tensors="pt").to(self.device)
            with torch.inference_mode():
                logits = self.network(**batch).logits.float().cpu().numpy()
            found[positions] = softmax(logits) @ self.meaning
        return found


class HuggingFace:
    """The models of one choice. `score` is for one thread at a time."""

    def __init__(self, choice: ModelChoice, heads: Mapping[str, Head], shipped: Engine | None) -> None:
        self._intent, self._sentiment, self._urgency = heads[""], heads.get("sentiment"), heads.get("urgency")
        self._shipped = shipped
        self.version = "+".join(head.version for head in heads.values())
        self.shipped_version = shipped.version if shipped else ""
        self.unsure_below = UNSURE_BELOW
        self.languages = tuple(one for one in choice.languages if shipped is None or one in shipped.languages)
        if choice.urgency is not None:
            self.urgent_threshold = choice.urgency.urgent_threshold
        else:
            assert shipped is not None, "somebody has to say the urgency"
            self.urgent_threshold = shipped.urgent_threshold
        self.computed = 0
        """Texts that the networks have scored so far."""
        self.known = 0
        """Texts that stood in their batch before."""

    @property
    def runs_on(self) -> str:
        """What computes, for people."""
        import torch

        also = f", {self._shipped.runs_on}" if self._shipped else ""
        return f"torch {torch.__version__} on {self._intent.device}{also}"

    def score(self, texts: Sequence[str]) -> list[Scores]:
        """Scores of each text, in order; equal texts are scored once. Takes any `str`; blocks."""
        distinct = list(dict.fromkeys(texts))
        self.computed += len(distinct)
        self.known += len(texts) - len(distinct)
        scores = dict(zip(distinct, self._score(distinct), strict=True))
        return [scores[text] for text in texts]

    def _score(self, texts: Sequence[str]) -> list[Scores]:
        if not texts:
            return []
        found = self._shipped.score(texts) if self._shipped else [_UNSAID] * len(texts)
        intents = _rows(self._intent.probabilities(texts))
        found = [replace(one, intents=row) for one, row in zip(found, intents, strict=True)]
        if self._sentiment is not None:
            rows = _rows(self._sentiment.probabilities(texts))
            found = [replace(one, sentiments=row) for one, row in zip(found, rows, strict=True)]
        if self._urgency is not None:
            rows = _rows(self._urgency.probabilities(texts))
            found = [
                replace(one, urgencies=row, urgent=_urgent(one.intents, row))
                for one, row in zip(found, rows, strict=True)
            ]
        return found


_UNSAID = Scores((), (), (), 0.0)
"""Before any model has spoken."""


def _urgent(intents: Sequence[float], urgencies: Sequence[float]) -> float:
    """Probability of an urgent complaint, as though the two models erred apart."""
    return intents[INTENTS.index(Intent.COMPLAINT)] * sum(urgencies[SERIOUS])


def _rows(values: NDArray[np.float32]) -> list[tuple[float, ...]]:
    """Each sums to 1 and holds no more than 1, which sums of float32 may miss by a little."""
    return [tuple(min(value, 1.0) for value in row) for row in values.astype(float).tolist()]


def _part_faults(key: str, part: Part) -> Iterator[Fault]:
    place = f"{KEY}.{key}" if key else KEY
    try:
        config = _config(part)
    except (OSError, ValueError) as error:
        mend = "give its folder, or OWNER/NAME of one on the hub; `hf download OWNER/NAME` brings it to this machine"
        yield Fault(f"{place}.hugging_face", f"{part.hugging_face} can't be had: {_first_line(error)}", mend)
        return
    except Exception as error:  # a file that is JSON and no configuration fails in whatever reads it first
        what = f"config.json of {part.hugging_face} is no configuration: {_first_line(error)}"
        yield Fault(f"{place}.hugging_face", what, "take it anew from where the model comes from")
        return
    kinds = [name for name in config.architectures or () if not name.endswith("ForSequenceClassification")]
    if kinds:
        mend = "use one that was trained to classify texts"
        yield Fault(f"{place}.hugging_face", f"{part.hugging_face} is no sequence classifier but {kinds[0]}", mend)
    elif config.num_labels < 2 or config.problem_type == "multi_label_classification":
        mend = "use one that gives each text one of several labels"
        yield Fault(f"{place}.hugging_face", f"{part.hugging_face} does not choose between its labels", mend)
    else:
        yield from _label_faults(f"{place}.labels", _labels(config), part, ORDERS[key])


def _label_faults(place: str, labels: Sequence[str], part: Part, order: Sequence[Any]) -> Iterator[Fault]:
    for name in part.labels:
        if name not in labels:
            yield Fault(f"{place}.{name}", f"is no label of {part.hugging_face}", one_of(name, labels))
    unknown = [label for label in labels if _meaning(label, part, order) is None]
    if unknown:
        what = f"{', '.join(unknown)} of {part.hugging_face} {'have' if len(unknown) > 1 else 'has'} no meaning"
        takes = ", ".join(map(str, order))
        yield Fault(place, what, f"say what it is, as in {{{unknown[0]}: {order[0]}}}; a label may mean {takes}")


def _meaning(label: str, part: Part, order: Sequence[Any]) -> Any:
    """Which of plaint's labels it is, None if nobody said."""
    if label in part.labels:
        return part.labels[label]
    return next((one for one in order if str(one) == label.casefold()), None)


def _labels(config: Any) -> list[str]:
    return [str(config.id2label[index]) for index in sorted(config.id2label)]


def _config(part: Part) -> Any:
    """Its configuration. Raises OSError or ValueError if it can't be had."""
    from transformers import AutoConfig

    return _have(AutoConfig.from_pretrained, part)


def _have(get: Callable[..., Any], part: Part, **options: Any) -> Any:
    """From this machine, else from the hub."""
    asked = {"revision": part.revision or "main", "trust_remote_code": False, **options}
    with suppress(OSError):
        return get(part.hugging_face, local_files_only=True, **asked)
    if Path(part.hugging_face).exists():
        asked["local_files_only"] = True
    return get(part.hugging_face, **asked)


def _load(key: str, part: Part) -> Head:
    """Raises ModelInvalid if its network or tokenizer can't be loaded or is not whole, or if it labels no post."""
    import torch

    place = f"{KEY}.{key}.hugging_face" if key else f"{KEY}.hugging_face"
    network, tokenizer = _read(place, part)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        network.config.pad_token_id = tokenizer.pad_token_id
    device = "cuda" if torch.cuda.is_available() else "cpu"
    head = Head(
        network=network.float().eval().to(device),
        tokenizer=tokenizer,
        meaning=_matrix(_labels(network.config), part, ORDERS[key]),
        max_tokens=_most_tokens(tokenizer, network.config),
        device=device,
        version=_version(part, network.config),
    )
    _try(place, part, head)
    return head


def _read(place: str, part: Part) -> tuple[Any, Any]:
    """Its network and tokenizer. Raises ModelInvalid."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging as noise

    noise.set_verbosity_error()
    noise.disable_progress_bar()
    # What doesn't fit is told by name below; without this it would be said in a log alone.
    asked = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    try:
        network, info = _have(AutoModelForSequenceClassification.from_pretrained, part, **asked)
        tokenizer = _have(AutoTokenizer.from_pretrained, part)
    except Exception as error:  # a damaged file fails in whatever reads it: safetensors, torch, tokenizers
        mend = "look whether its files are whole (and no pointers of git-lfs), and its tokenizer beside them"
        raise _invalid(place, f"{part.hugging_face} can't be loaded: {_first_line(error)}", mend) from error
    if info["missing_keys"]:
        what = f"{part.hugging_face} lacks weights, such as {min(info['missing_keys'])}"
        raise _invalid(place, what, "use one that was trained to classify, its weights whole")
    if info["mismatched_keys"]:
        name, found, expected = min(info["mismatched_keys"])
        what = (
            f"the weights of {part.hugging_face} don't fit its config.json: {name} is {[*found]}, by it {[*expected]}"
        )
        raise _invalid(
            place, what, "take both from one place; id2label has a name for each label that it was trained with"
        )
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        what = f"{part.hugging_face} has no tokenizer: it would read every word as unknown"
        raise _invalid(place, what, "put the files of its tokenizer beside its weights")
    return network, tokenizer


def _try(place: str, part: Part, head: Head) -> None:
    """Raises ModelInvalid if it labels no post."""
    mend = f"look whether `transformers` itself labels a text with it, or use another model for {place}"
    try:
        sound = np.isfinite(head.probabilities(TRIED)).all()
    except Exception as error:  # whatever it is, every post would fail with it
        what = f"{part.hugging_face} fails on a plain post: {type(error).__name__}: {_first_line(error)}"
        raise _invalid(place, what, mend) from error
    if not sound:
        raise _invalid(place, f"{part.hugging_face} gives a plain post no probabilities", mend)


def _invalid(place: str, what: str, mend: str) -> ModelInvalid:
    return ModelInvalid([Fault(place, what, mend)])


def _matrix(labels: Sequence[str], part: Part, order: Sequence[Any]) -> NDArray[np.float32]:
    matrix = np.zeros((len(labels), len(order)), dtype=np.float32)
    for row, label in enumerate(labels):
        matrix[row, order.index(_meaning(label, part, order))] = 1.0
    return matrix


def _most_tokens(tokenizer: Any, config: Any) -> int:
    """Of the positions two are left alone: RoBERTa and its kin can't use them. XLNet's -1 and T5's none are no limit."""
    positions = getattr(config, "max_position_embeddings", None) or 0
    most = positions - 2 if positions > 0 else MAX_TOKENS
    return int(min(tokenizer.model_max_length, most, MAX_TOKENS))


def _version(part: Part, config: Any) -> str:
    """What a triage carries: the last part of its name, and the commit on the hub that it came from."""
    commit = getattr(config, "_commit_hash", None)
    return f"hf:{Path(part.hugging_face).name}{f'@{commit[:7]}' if commit else ''}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
