"""The shipped model cards say what was measured of the shipped weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.engine import Engine
from models.evaluation.card import BASES, CARD, render, stale, write_card
from models.evaluation.evaluation import EVALUATION, load_evaluation
from models.evaluation.sources import SOURCES, terms_of
from models.manifest import MANIFEST, Manifest, load_manifest, sha256
from models.training.data import Example, Parts, data_folder, load_parts, text_digest
from tests.support.pages import REPOSITORY

WEIGHTS = sorted(path.parent for path in (REPOSITORY / "models" / "weights").glob(f"*/{MANIFEST}"))
TINY = Path(__file__).parent / "tiny-2"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The card of shipped weights, without the weights."""
    for name in (MANIFEST, EVALUATION, CARD, "confusion.svg", "reliability.svg"):
        shutil.copy(WEIGHTS[0] / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("folder", WEIGHTS, ids=lambda folder: folder.name)
def test_the_card_is_what_was_measured_of_these_weights(folder: Path) -> None:
    assert stale(folder) == []


def test_a_card_of_other_weights_is_stale(copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | {"urgent_threshold": 0.42}))
    [fault] = stale(copy)
    assert "is not the one that was evaluated: run `python -m models.evaluation.record" in fault


@pytest.mark.parametrize("name", [CARD, "confusion.svg", "reliability.svg"])
def test_a_card_that_somebody_edited_is_stale_and_is_written_again(copy: Path, name: str) -> None:
    (copy / name).write_text((copy / name).read_text().replace("8", "9"))
    [fault] = stale(copy)
    assert fault.startswith(f"{copy / name} is not what evaluation.json says")
    write_card(copy)
    assert stale(copy) == []


def test_numbers_that_somebody_edited_make_the_card_stale(copy: Path) -> None:
    evaluation = json.loads((copy / EVALUATION).read_text())
    evaluation["test"]["measures"]["intent"]["macro_f1"]["value"] = 0.99
    (copy / EVALUATION).write_text(json.dumps(evaluation))
    assert any(CARD in fault for fault in stale(copy))


@pytest.mark.parametrize("folder", WEIGHTS, ids=lambda folder: folder.name)
def test_the_shipped_weights_score_on_the_dev_posts_what_was_noted(folder: Path) -> None:
    noted = load_evaluation(folder)
    paths = {name: data_folder() / name for name in noted.data}
    if not all(path.exists() for path in paths.values()):
        pytest.skip("NOT EVALUATED ANEW: PLAINT_DATA has no labelled posts")
    if {name: sha256(path.read_bytes()) for name, path in paths.items()} != noted.data:
        pytest.skip("NOT EVALUATED ANEW: PLAINT_DATA holds other posts than were evaluated")
    from models.evaluation.record import measured as measure

    dev = load_parts(data_folder(), multilingual=load_manifest(folder).multilingual).dev
    measured = measure(Engine.load(folder, remembered=0), dev, rounds=0)
    # int8 is computed a little differently on other processors.
    for head in ("intent", "sentiment", "urgency"):
        ours, theirs = getattr(measured, head), getattr(noted.dev, head)
        assert ours.posts == theirs.posts
        assert ours.ece == pytest.approx(theirs.ece, abs=0.015), head
        for name in ("accuracy", "macro_f1", "brier", "log_loss"):
            assert getattr(ours, name).value == pytest.approx(getattr(theirs, name).value, abs=0.015), (head, name)
    assert measured.urgent is not None
    assert noted.dev.urgent is not None
    assert measured.urgent.urgent == noted.dev.urgent.urgent
    for name in ("recall", "precision", "average_precision", "brier"):
        ours, theirs = getattr(measured.urgent, name), getattr(noted.dev.urgent, name)
        assert ours.value == pytest.approx(theirs.value, abs=0.03), name


@pytest.mark.parametrize("folder", WEIGHTS, ids=lambda folder: folder.name)
def test_the_card_names_the_terms_of_every_source(folder: Path) -> None:
    card = (folder / CARD).read_text()
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    assert card.startswith(f"# {manifest.name}\n")
    for one in load_evaluation(folder).sources:
        assert f"| {one.source} | {one.origin} | {one.train:,} | {one.dev:,} | {one.test:,} | {one.terms} |" in card


def test_the_card_names_the_encoder_and_its_licence() -> None:
    cards = {folder.name: (folder / CARD).read_text() for folder in WEIGHTS}
    assert "A fine-tuned\nall-MiniLM-L6-v2 (Apache-2.0) of 6 layers" in cards["minilm-5"]
    assert "A fine-tuned\nmultilingual-e5-small (MIT) of 12 layers" in cards["multi-1"]


def test_a_card_can_be_written_of_each_encoder_that_is_trained() -> None:
    bases = pytest.importorskip("models.training.bases", reason="NO ENCODERS LOOKED AT: needs the train extra")
    assert {base.origin.partition(" ")[0] for base in bases.BASES.values()} == BASES.keys()


@pytest.mark.parametrize(
    ("page", "told"),
    [("README.md", ["minilm-5"]), ("docs/evaluation.md", ["minilm-5"]), ("docs/models.md", ["minilm-5", "multi-1"])],
)
def test_where_the_score_of_all_posts_is_told_that_of_one_a_group_stands_beside_it(page: str, told: list[str]) -> None:
    text = " ".join((REPOSITORY / page).read_text().split())
    for folder in WEIGHTS:
        found = load_evaluation(folder)
        assert found.one_a_group is not None
        for report in (found.test, found.one_a_group):
            assert report.measures.intent is not None
            assert (str(report.measures.intent.macro_f1) in text) == (folder.name in told)


@pytest.mark.parametrize("folder", WEIGHTS, ids=lambda folder: folder.name)
def test_the_card_says_how_much_near_duplicates_flatter_the_scores(folder: Path) -> None:
    found, card = load_evaluation(folder), (folder / CARD).read_text()
    assert found.one_a_group is not None
    one, all_ = found.one_a_group.measures.intent, found.test.measures.intent
    assert one is not None
    assert all_ is not None
    assert f"intent macro-F1 is\n{one.macro_f1} instead of {all_.macro_f1}; of sources seen" in card
    assert f"F1 of questions is {one.labels['question'].f1} instead of {all_.labels['question'].f1}." in card
    assert f"| all, one a group ({one.posts:,}) |" in card


def test_the_card_tells_the_scores_against_first_and_settled_labels_alike() -> None:
    for folder in WEIGHTS:
        found, card = load_evaluation(folder), (folder / CARD).read_text()
        assert ("settled" in card) == ("| all, settled labels |" in card) == (found.settled is not None)
        assert (found.settled is None) == load_manifest(folder).multilingual, (
            "test posts in English alone were read again"
        )
        if found.settled is None:
            continue
        first, settled = found.test.measures.urgent, found.settled.measures.urgent
        assert first is not None
        assert settled is not None
        assert f'("settled"; {settled.urgent} urgent complaints\ninstead of {first.urgent})' in card
        assert f"`urgent` recall {settled.recall} instead of {first.recall}" in card
        assert f"at precision {settled.precision} instead of {first.precision}" in card


def test_a_source_without_known_terms_is_refused() -> None:
    assert terms_of("written_here") != terms_of("written")
    assert all(terms_of(source) for source in SOURCES)
    with pytest.raises(KeyError):
        terms_of("twcs_spotify")


def examples(part: str, count: int) -> list[Example]:
    labels = [(0, 0, 3), (1, 1, 1), (2, 2, 0), (3, 2, 0), (4, 1, 0)]
    words = ["broken again and nobody answers", "how do I do this", "thank you so much", "buy two now", "a day at sea"]
    return [
        Example(
            f"{part}{number}",
            ("banking77", "clinc150")[number % 2],
            f"{words[number % 5]} {number}",
            *labels[number % 5],
            True,
        )
        for number in range(count)
    ]


def test_recording_measures_weights_beside_baselines_float32_and_others_and_writes_their_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("sklearn", "vaderSentiment"):
        pytest.importorskip(package, reason=f"NO CARD RECORDED: {package} is not installed (extra train)")
    if not data_folder().is_dir():
        pytest.skip(f"NO CARD RECORDED: {data_folder()} is missing")
    from models.evaluation import record as recording

    record, write, with_one_a_group = recording.record, recording.write, recording.with_one_a_group
    monkeypatch.setattr(recording, "read_examples", lambda *_: [])  # the others of the split

    weights = tmp_path / "tiny-2"
    shutil.copytree(TINY, weights)
    test = examples("test", 80)
    train = [example for example in examples("train", 200) if example.source == "clinc150"]
    parts = Parts(train=train, dev=examples("dev", 60), test_seen=test[:40], test_unseen=test[40:])
    readings = tmp_path / "second.csv", tmp_path / "third.csv"
    for path in readings:
        rows = (f"{post.id},{text_digest(post.text)},praise,positive,0,1\n" for post in test if post.urgent)
        path.write_text("id,digest,intent,sentiment,urgency,sure\n" + "".join(rows))
    monkeypatch.setattr(recording, "TEST_READINGS", readings)
    float32 = np.random.default_rng(1).normal(size=(80, 14)).astype(np.float32)
    found = record(weights, parts, float32, [WEIGHTS[0]], rounds=20)
    write(weights, found)
    assert load_evaluation(weights) == found
    assert stale(weights) == []
    assert [one.name for one in found.test.contenders] == ["float32", WEIGHTS[0].name, "majority", "VADER", "TF-IDF"]
    scores = {one.name: one.measures for one in found.test.contenders}
    majority, regression = scores["majority"].intent, scores["TF-IDF"].intent
    assert majority is not None
    assert regression is not None
    assert majority.macro_f1 is not None
    assert regression.macro_f1 is not None
    assert majority.macro_f1.value < 0.1
    assert regression.macro_f1.value > 0.95
    assert scores["VADER"].intent is None
    assert scores["VADER"].sentiment is not None
    assert {part.name: part.posts for part in found.test.slices if part.by == "held out"} == {
        "sources seen in training": 40,
        "sources never seen": 40,
    }, "what no post was trained on of is never seen"
    assert found.held_out == ["banking77"]
    assert found.settled is not None
    assert found.settled.measures.urgent is not None
    assert found.settled.measures.urgent.urgent == 0, "two of three readers call all of them praise"
    assert found.test.measures.urgent is not None
    assert found.test.measures.urgent.urgent == 16, "and nothing else goes by that"
    assert [one.name for one in found.settled.contenders] == ["float32", WEIGHTS[0].name]
    assert found.one_a_group is not None
    assert found.one_a_group.posts == 5, "the first of each kind"
    monkeypatch.setattr(recording, "load_parts", lambda *_: parts)
    write(weights, found.model_copy(update={"one_a_group": None}))
    assert "one a group" not in (weights / CARD).read_text()
    write(weights, with_one_a_group(weights))
    assert load_evaluation(weights) == found
    write(weights, found.model_copy(update={"settled": None}))
    assert "settled" not in (weights / CARD).read_text()
    write(weights, recording.with_settled(weights, against=[WEIGHTS[0]]))
    again = load_evaluation(weights)
    assert again.settled is not None
    assert again.settled.measures == found.settled.measures
    assert [one.name for one in again.settled.contenders] == [WEIGHTS[0].name]
    assert "settled" in (weights / CARD).read_text()
    for folder in WEIGHTS:
        if load_manifest(folder).multilingual:
            with pytest.raises(ValueError, match="reads other languages too"):
                recording.with_settled(folder)
    monkeypatch.setattr(recording, "processor", lambda: "another")
    with pytest.raises(ValueError, match="measure all of it anew"):
        with_one_a_group(weights)
    card = (weights / CARD).read_text()
    assert all(f"| {name} |" in card for name in scores)
    assert "| clinc150 | labelled | 100 | 30 | 40 | CLINC150, CC BY 3.0 |" in card
    assert "trains again without these sources" in card


def test_the_card_of_weights_of_clear_sources_says_so() -> None:
    manifest = Manifest.model_validate_json((TINY / MANIFEST).read_bytes())
    clear = render(manifest.model_copy(update={"clear": True}), load_evaluation(WEIGHTS[0]))
    assert "unclear were not trained on either" in clear
    assert "trains again without these sources" not in clear


def test_weights_are_not_said_to_be_trained_on_posts_that_came_later(monkeypatch: pytest.MonkeyPatch) -> None:
    record = pytest.importorskip("models.evaluation.record")
    manifest = Manifest.model_validate_json((TINY / MANIFEST).read_bytes())
    before, later = examples("before", 10), examples("later", 5)
    hashes = dict(manifest.data)
    monkeypatch.setattr(record, "load_parts", lambda *_: Parts(before + later, [], [], []))
    monkeypatch.setattr(record, "read_added", lambda *_: later)
    monkeypatch.setattr(record, "file_hashes", lambda *_: hashes | {"models/data/labels/x.csv": "1"})
    assert record.parts_as_trained(manifest, TINY).train == before
    of_later = manifest.model_copy(update={"data": hashes | {"models/data/labels/x.csv": "1"}})
    assert record.parts_as_trained(of_later, TINY).train == before + later
    of_others = manifest.model_copy(update={"data": hashes | {"models/data/labels/x.csv": "2"}})
    with pytest.raises(ValueError, match=r"trained on other data than stands here: models/data/labels/x.csv"):
        record.parts_as_trained(of_others, TINY)
