"""The model card of a folder of weights, out of its manifest and of what the test posts say."""

from collections import Counter
from dataclasses import dataclass

from models.evaluation.measures import Measure, Truth, measures
from models.evaluation.sources import SOURCES
from models.manifest import Manifest
from models.outputs import Floats, probabilities
from models.training.calibrate import MISS_COST
from models.training.data import WRITTEN, Example, Parts
from models.training.split import HELD_OUT_SOURCES


@dataclass(frozen=True, slots=True)
class Subject:
    """What the card is about; logits are of `parts.test`, in its order."""

    manifest: Manifest
    parts: Parts
    int8: Floats
    float32: Floats
    bytes_shipped: int


def render(subject: Subject) -> str:
    """The card in Markdown."""
    sections = [_head(subject), _scores(subject), _data(subject), _limits(subject)]
    return "\n\n".join(sections) + "\n"


def _head(subject: Subject) -> str:
    manifest = subject.manifest
    return f"""# {manifest.name}

Reads an English post and says what it asks of the organisation (intent), how its author feels (sentiment), what happens if
nobody answers for a day (urgency 0–4), and how likely it is an urgent complaint. A fine-tuned all-MiniLM-L6-v2
(Apache-2.0) of {manifest.layers} layer{"s" if manifest.layers > 1 else ""}, its mean pooled under four linear heads,
as int8 ONNX ({subject.bytes_shipped / 1e6:.1f} MB with its tokenizer). It reads the first and last of at most
{manifest.max_tokens} tokens. This card is written by `python -m models.export`; don't edit it.

Trained for {manifest.epochs} epochs with seed {manifest.seed}; `manifest.json` has the hashes of the data and the files.
Probabilities are calibrated on dev posts, per head. The threshold for `urgent`, {manifest.urgent_threshold}, is the one
that costs least there when a missed urgent complaint costs as much as {MISS_COST:g} false alarms."""


def _scores(subject: Subject) -> str:
    parts, seen = subject.parts, len(subject.parts.test_seen)
    columns = {
        f"all ({len(parts.test)})": _measures(subject, parts.test, subject.int8),
        f"sources seen in training ({seen})": _measures(subject, parts.test_seen, subject.int8[:seen]),
        f"sources never seen ({len(parts.test_unseen)})": _measures(subject, parts.test_unseen, subject.int8[seen:]),
        "all, float32": _measures(subject, parts.test, subject.float32),
    }
    urgent = [sum(example.urgent for example in part) for part in (parts.test, parts.test_seen, parts.test_unseen)]
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    names = next(iter(columns.values()))
    lines += [f"| {name} | {' | '.join(str(column[name]) for column in columns.values())} |" for name in names]
    return f"""## Scores

On real posts that no choice was made on, in brackets the 95% bootstrap interval. Of them {urgent[0]} are urgent complaints,
{urgent[1]} from sources seen in training and {urgent[2]} from the others ({", ".join(HELD_OUT_SOURCES)}), so read the
urgent rows of that column with care. F1 and the rest are at the most likely label, urgent precision and recall at the
threshold. ECE is the expected calibration error over ten bins.

{chr(10).join(lines)}"""


def _measures(subject: Subject, examples: list[Example], logits: Floats) -> dict[str, Measure]:
    given = probabilities(logits, subject.manifest.calibration)
    return measures(Truth.of(examples), given, subject.manifest.urgent_threshold)


def _data(subject: Subject) -> str:
    counts = {
        part: Counter(example.source for example in examples)
        for part, examples in (("train", subject.parts.train), ("dev", subject.parts.dev), ("test", subject.parts.test))
    }
    rows = [
        f"| {source} | {' | '.join(str(counts[part][source]) for part in counts)} | {terms} |"
        for source, terms in {WRITTEN: "written for this purpose, with the help of a language model", **SOURCES}.items()
    ]
    return f"""## Data

Labels are by AI annotators after one guide; on a blind second pass over the written posts intent agreed with kappa
0.90–0.96, so the last points of any score here are noise. Posts whose annotator wasn't sure weigh half in training.
Test and dev hold real posts only; near-duplicates stand in one part.

| source | train | dev | test | terms |
|---|---|---|---|---|
{chr(10).join(rows)}

Customer support tweets under a non-commercial licence (TWCS) were not trained on. Three sets state no licence, and of two
the texts' terms are unclear, as the table says: whoever needs clean terms trains again without them
(`python -m models.training.train`)."""


def _limits(subject: Subject) -> str:
    return """## What it can't do

- Other languages than English: what it says of them is chance with a confident face.
- A thread: it sees one post, neither what it answers nor its picture, link or author.
- Tell severity finely: urgency is one voice among several and is raised by policy downstream, never lowered.
- Sarcasm without a clue in the words, slang younger than its data, and firms whose names are common words.
- Say how it does on your posts: MultiDoGO's crowd workers rephrase a few dozen tasks, so its slice flatters the questions
  above, and sources never seen are the better guide.
- Long text: between head and tail of more than 128 tokens it's blind."""
