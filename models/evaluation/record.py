"""Evaluates a folder of weights on the untouched test part, and writes its model card:

    python -m models.evaluation.record models/weights/NAME --network ../run/network.pt --against ../teacher/network.pt

Writes evaluation.json (every number: the test part with its slices, float32 and baselines beside it, and the dev part),
the pictures, and README.md out of them. Needs `$PLAINT_DATA` and the `train` extra. With `--one-a-group` it measures the test
part with one post of each group of near-duplicates, with `--settled` against the labels that two of three readers gave, and
leaves the rest of evaluation.json as it is.
"""

import argparse
import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime

from models.engine import Engine
from models.evaluation.baselines import SEED, baselines, missing_packages
from models.evaluation.bootstrap import ROUNDS
from models.evaluation.card import write_card
from models.evaluation.evaluate import FACETS, Entrant, Facet, Plan, answers_of, evaluate
from models.evaluation.evaluation import EVALUATION, Evaluation, Source, load_evaluation
from models.evaluation.labelled import LabelledPost
from models.evaluation.measures import Answers, Truth, assess
from models.evaluation.report import Measures, Report
from models.evaluation.sources import terms_of
from models.manifest import MANIFEST, TOKENIZER, Manifest, load_manifest, sha256
from models.outputs import Floats, probabilities
from models.tokens import Tokens
from models.training.calibrate import MISS_COST, cheapest_threshold, fit_calibration
from models.training.data import (
    MULTILINGUAL_FILE,
    REAL_FILES,
    TEST_READINGS,
    WRITTEN_FILES,
    Example,
    Parts,
    data_folder,
    file_hashes,
    load_parts,
    read_added,
    read_examples,
    settled,
    spoken,
)
from schemas.labels import INTENTS, SENTIMENTS

MAX_TOKENS = 128
"""That networks are trained to read."""
SEEN, UNSEEN = "sources seen in training", "sources never seen"
HELD_OUT = "held out"
"""What the slices SEEN and UNSEEN are by."""


def labelled(examples: Sequence[Example]) -> list[LabelledPost]:
    """As the evaluation has them, each in the language that it is written in."""
    return [
        LabelledPost(
            text=example.text,
            intent=INTENTS[example.intent],
            sentiment=SENTIMENTS[example.sentiment],
            urgency=example.urgency,
            source=example.source,
            language=example.language,
            origin=example.origin,
            sure=example.sure,
        )
        for example in spoken(examples)
    ]


def held_out_sources(parts: Parts) -> list[str]:
    """Those of the test posts that no post was trained on of: what the split holds out, and what the training left out."""
    return sorted({example.source for example in parts.test} - {example.source for example in parts.train})


def record(
    folder: Path, parts: Parts, float32: Floats | None = None, against: Sequence[Path] = (), rounds: int = ROUNDS
) -> Evaluation:
    """Measures the weights of a folder.

    `float32`: logits of the test posts before quantising, where they are at hand. `against`: folders of other weights, or
    files of other networks as the training leaves them, each with its tokenizer.json beside it.

    Raises:
        ModuleNotFoundError: what the baselines are made with is not installed.
        WeightsError: a folder has no weights that can be served.
        KeyError: a source of the posts has no terms in `models.evaluation.sources`.
    """
    if missing := missing_packages():
        raise ModuleNotFoundError(f"{', '.join(missing)} can't be imported: pip install 'plaint[train]'")
    manifest, engine = load_manifest(folder), Engine.load(folder, remembered=0)
    posts, held_out = labelled(parts.test), held_out_sources(parts)
    others = _others(manifest, parts, float32, against)
    plan = _plan(engine, held_out, rounds, FACETS)
    entrants = others + baselines(parts, [post.text for post in posts])
    answers = answers_of(engine, posts)
    english = not manifest.multilingual
    return Evaluation(
        manifest=sha256((folder / MANIFEST).read_bytes()),
        bytes_shipped=sum((folder / name).stat().st_size for name in (*manifest.files, MANIFEST)),
        measured_on=_measured_on(),
        data=_measured_of(manifest),
        held_out=held_out,
        miss_cost=MISS_COST,
        sources=_sources(parts),
        test=evaluate(posts, engine.version, answers, plan, entrants),
        settled=settled_report(engine, answers, parts.test, held_out, others, rounds) if english else None,
        one_a_group=one_a_group(engine, parts.test, held_out, rounds),
        dev=measured(engine, parts.dev, plan.rounds),
    )


def _others(manifest: Manifest, parts: Parts, float32: Floats | None, against: Sequence[Path]) -> list[Entrant]:
    """What the weights are measured beside, but for the baselines."""
    others = [_other(path, parts) for path in against]
    if float32 is None:
        return others
    answers = Answers.of(probabilities(float32, manifest.calibration), manifest.urgent_threshold)
    return [Entrant("float32", "the same weights before they were made int8", answers), *others]


def settled_report(
    engine: Engine,
    answers: Answers,
    test: Sequence[Example],
    held_out: Sequence[str],
    others: Sequence[Entrant],
    rounds: int,
) -> Report:
    """The answers to the test posts against the labels that two of three readers gave."""
    posts = labelled(settled(test, TEST_READINGS))
    return evaluate(posts, engine.version, answers, _plan(engine, held_out, rounds), others)


def _plan(engine: Engine, held_out: Sequence[str], rounds: int, facets: Mapping[str, Facet] | None = None) -> Plan:
    """Sliced by whether a post's source was held out, and by these facets."""

    def part(post: LabelledPost) -> str:
        return UNSEEN if post.source in held_out else SEEN

    return Plan(engine.unsure_below, rounds, {HELD_OUT: part, **(facets or {})})


def one_a_group(engine: Engine, test: Sequence[Example], held_out: Sequence[str], rounds: int = ROUNDS) -> Report:
    """The first test post of each group of near-duplicates alone, in groups over the posts that the split was drawn of."""
    from models.training.split import near_duplicate_groups  # needs the extra

    tested = {example.id for example in test}
    others = [one for one in read_examples(data_folder(), REAL_FILES + WRITTEN_FILES) if one.id not in tested]
    groups = near_duplicate_groups([example.text for example in (*test, *others)])
    firsts = {groups.index(group) for group in groups[: len(test)]}
    posts = labelled([example for place, example in enumerate(test) if place in firsts])
    return evaluate(posts, engine.version, answers_of(engine, posts), _plan(engine, held_out, rounds))


def with_one_a_group(folder: Path) -> Evaluation:
    """What evaluation.json says, and `one_a_group` besides. Raises as `_noted` does."""
    noted, parts = _noted(folder)
    report = one_a_group(Engine.load(folder, remembered=0), parts.test, noted.held_out, noted.test.rounds)
    return noted.model_copy(update={"one_a_group": report})


def with_settled(folder: Path, network: Path | None = None, against: Sequence[Path] = ()) -> Evaluation:
    """What evaluation.json says, and `settled` besides, with others beside it as in `record`.

    Raises ValueError as `_noted` does, and for weights that read other languages too.
    """
    manifest = load_manifest(folder)
    if manifest.multilingual:
        raise ValueError(f"{folder} reads other languages too, and nobody read its test posts in these again")
    noted, parts = _noted(folder)
    float32 = None if network is None else logits(network, folder / TOKENIZER, parts.test)
    others = _others(manifest, parts, float32, against)
    engine = Engine.load(folder, remembered=0)
    answers = answers_of(engine, labelled(parts.test))
    report = settled_report(engine, answers, parts.test, noted.held_out, others, noted.test.rounds)
    return noted.model_copy(update={"settled": report})


def _noted(folder: Path) -> tuple[Evaluation, Parts]:
    """What evaluation.json says, and the posts that it is of.

    Raises:
        ValueError: it is of another manifest, of other posts, or of another processor or runtime.
    """
    manifest, noted = load_manifest(folder), load_evaluation(folder)
    found = (sha256((folder / MANIFEST).read_bytes()), _measured_of(manifest), _measured_on())
    if found != (noted.manifest, noted.data, noted.measured_on):
        what = f"{folder / EVALUATION} is of another manifest, of other posts, or was measured on {noted.measured_on}"
        raise ValueError(f"{what} and this is {_measured_on()}: measure all of it anew")
    return noted, load_parts(data_folder(), manifest.clear, manifest.multilingual)


def _measured_on() -> str:
    return f"{processor()}, ONNX Runtime {onnxruntime.__version__}"


def _measured_of(manifest: Manifest) -> dict[str, str]:
    """sha256 of the files in `$PLAINT_DATA` that dev and test posts stand in."""
    names = (*REAL_FILES, MULTILINGUAL_FILE) if manifest.multilingual else REAL_FILES
    return {name: sha256((data_folder() / name).read_bytes()) for name in names}


def measured(engine: Engine, examples: Sequence[Example], rounds: int) -> Measures:
    posts = labelled(examples)
    return assess(Truth.of(posts), answers_of(engine, posts), engine.unsure_below, rounds).measures


def _other(path: Path, parts: Parts) -> Entrant:
    if path.is_file():
        return _network(path, parts)
    engine = Engine.load(path, remembered=0)
    return Entrant(engine.version, "other weights, at their own threshold", answers_of(engine, labelled(parts.test)))


def _network(path: Path, parts: Parts) -> Entrant:
    """In float32, calibrated and with its threshold chosen as for the weights that ship."""
    tokenizer = path.with_name(TOKENIZER)
    dev, test = logits(path, tokenizer, parts.dev), logits(path, tokenizer, parts.test)
    calibration = fit_calibration(parts.dev, dev)
    urgent = np.array([example.urgent for example in parts.dev])
    threshold = cheapest_threshold(probabilities(dev, calibration).urgent, urgent, SEED)
    about = "a network in float32, calibrated and with its threshold chosen as ours"
    return Entrant(path.parent.name, about, Answers.of(probabilities(test, calibration), threshold))


def logits(network: Path, tokenizer: Path, examples: Sequence[Example]) -> Floats:
    """Of a network as the training leaves it, in float32.

    Raises:
        ValueError: the tokenizer is another network's.
    """
    # These need torch, and nothing else here does.
    from models.training.checkpoint import load_network
    from models.training.predict import predict

    loaded, vocabulary = load_network(network), len(json.loads(tokenizer.read_text("utf-8"))["model"]["vocab"])
    if loaded.shape.vocabulary < vocabulary:
        raise ValueError(f"{tokenizer} has {vocabulary} pieces and {network} knows {loaded.shape.vocabulary}")
    return predict(loaded, examples, Tokens(tokenizer, MAX_TOKENS))


def _sources(parts: Parts) -> list[Source]:
    """One for each source and origin, written posts first."""
    counts = {
        name: Counter((example.source, example.origin) for example in part)
        for name, part in (("train", parts.train), ("dev", parts.dev), ("test", parts.test))
    }
    found = sorted({key for part in counts.values() for key in part}, key=lambda key: (key[1] != "written", key))
    return [
        Source(
            source=source,
            origin=origin,
            terms=terms_of(source),
            train=counts["train"][source, origin],
            dev=counts["dev"][source, origin],
            test=counts["test"][source, origin],
        )
        for source, origin in found
    ]


def processor() -> str:
    """Its name, and whether it has what int8 is fast with."""
    about = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    name = next((line.partition(":")[2].strip() for line in about.splitlines() if line.startswith("model name")), "")
    flags = [flag for flag in ("amx_int8", "avx512_vnni", "avx_vnni", "avx2") if f" {flag} " in about]
    return f"{name or platform.machine()} ({flags[0]})" if flags else name or platform.machine()


def parts_as_trained(manifest: Manifest, folder: Path) -> Parts:
    """The parts with the training posts that these weights were trained on, so that the card tells no others.

    Raises:
        ValueError: the data that they were trained on is not what stands here.
    """
    parts = load_parts(folder, manifest.clear, manifest.multilingual)
    found = file_hashes(folder, manifest.clear, manifest.multilingual)
    others = [name for name, digest in manifest.data.items() if found.get(name) != digest]
    added = {name for name in found if name not in REAL_FILES + WRITTEN_FILES}
    unused = added - manifest.data.keys()
    if others or (unused and unused != added):
        what = f"{manifest.name} was trained on other data than stands here: {', '.join(sorted([*others, *unused]))}"
        raise ValueError(f"{what}; evaluate it at the commit, and with the PLAINT_DATA, that it was trained with")
    if unused:
        ids = {example.id for example in read_added(folder)}
        return replace(parts, train=[example for example in parts.train if example.id not in ids])
    return parts


def write(folder: Path, evaluation: Evaluation) -> None:
    (folder / EVALUATION).write_text(evaluation.model_dump_json() + "\n", encoding="utf-8")
    write_card(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="weights to evaluate")
    parser.add_argument("--network", type=Path, help="network.pt that they were made of, to be measured in float32")
    parser.add_argument(
        "--against",
        type=Path,
        action="append",
        default=[],
        help="folder of other weights, or network.pt with its tokenizer.json beside it; repeatable",
    )
    parser.add_argument("--one-a-group", action="store_true", help="measure that alone, and add it to evaluation.json")
    parser.add_argument("--settled", action="store_true", help="the same of the labels that two of three readers gave")
    arguments = parser.parse_args()
    if arguments.one_a_group and (arguments.network or arguments.against or arguments.settled):
        parser.error("--one-a-group measures the weights of the folder alone, and nothing besides")
    try:
        if arguments.one_a_group:
            write(arguments.folder, with_one_a_group(arguments.folder))
            return
        if arguments.settled:
            write(arguments.folder, with_settled(arguments.folder, arguments.network, arguments.against))
            return
        parts = parts_as_trained(load_manifest(arguments.folder), data_folder())
    except ValueError as error:
        raise SystemExit(str(error)) from error
    float32 = None
    if arguments.network is not None:
        float32 = logits(arguments.network, arguments.folder / TOKENIZER, parts.test)
    write(arguments.folder, record(arguments.folder, parts, float32, arguments.against))


if __name__ == "__main__":
    main()
