"""``plaint train`` from labelled posts to weights that serve, with a tiny encoder. Needs the `train` extra."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

for _package in ("torch", "onnx", "safetensors", "sklearn", "vaderSentiment"):
    pytest.importorskip(_package, reason="NOTHING TRAINED: needs the train extra")

import torch  # noqa: E402
from safetensors.torch import save  # noqa: E402

from models import export  # noqa: E402
from models.engine import Engine  # noqa: E402
from models.evaluation import record  # noqa: E402
from models.manifest import FLOAT, TOKENIZER, load_manifest  # noqa: E402
from models.training import data  # noqa: E402
from models.training.bases import BASES, Base  # noqa: E402
from models.training.checkpoint import load_network, load_run  # noqa: E402
from models.training.data import file_hashes, load_parts, read_ids  # noqa: E402
from models.training.listener import Lines, duration  # noqa: E402
from models.training.network import Network, Shape  # noqa: E402
from models.training.train import RECIPES, Plan, Recipe, run_training, taught  # noqa: E402
from models.training.trained import Trained  # noqa: E402
from plaint.cli import cli  # noqa: E402
from schemas.faults import FaultsFound  # noqa: E402
from tests.support.pages import REPOSITORY  # noqa: E402
from tests.support.unigram import LETTERS, unigram  # noqa: E402

TINY = REPOSITORY / "tests" / "models" / "tiny-2"
SHAPE = Shape(vocabulary=11_913, width=32, layers=1, heads=4, inner=64)
KINDS = [
    ("broken again and nobody answers", "complaint", "negative", 3),
    ("how do I do this", "question", "neutral", 1),
    ("thank you so much", "praise", "positive", 0),
    ("buy two now", "marketing", "positive", 0),
    ("a day at sea", "other", "neutral", 0),
]
COMPLAINT = {"intent": "complaint", "sentiment": "negative", "urgency": 2, "sure": True}


@pytest.fixture(scope="module")
def encoder() -> Base:
    """Random, but always the same."""
    torch.manual_seed(1)
    state = {name: tensor for name, tensor in Network(SHAPE).state_dict().items() if not name.startswith("heads")}
    files = {"model.safetensors": save(state), "tokenizer.json": (TINY / TOKENIZER).read_bytes()}
    weights, tokenizer = (hashlib.sha256(content).hexdigest() for content in files.values())
    return Base(
        "tiny", ("tiny",), "", weights, tokenizer, SHAPE, lambda _, name: files[name], lambda tensors, _: tensors
    )


@pytest.fixture(autouse=True)
def posts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Base) -> Path:
    """``PLAINT_DATA`` with posts of every part of the split, some of a source whose terms are unclear."""
    folder, added = tmp_path / "data", tmp_path / "added" / "models" / "data"
    parts = {"dev": 25, "test_seen": 20, "test_unseen": 20}
    ids = [id_ for part, count in parts.items() for id_ in sorted(read_ids(part))[:count]]
    ids += [f"train:{number}" for number in range(60)]
    folder.mkdir()
    (added / "written").mkdir(parents=True)
    with (folder / "labelled.jsonl").open("w") as out:
        for number, id_ in enumerate(ids):
            text, intent, sentiment, urgency = KINDS[number % 5]
            source = "cf_disaster" if id_ in ("train:7", "train:8") else ("banking77", "clinc150")[number % 2]
            row = {"id": id_, "source": source, "text": f"{text} {number}", "intent": intent, "sentiment": sentiment}
            out.write(json.dumps({**row, "urgency": urgency, "sure": True}) + "\n")
    for name in ("labelled_more.jsonl", "written.jsonl", "written_plain.jsonl"):
        (folder / name).touch()
    (added / "second_labels.csv").write_text("id,digest,intent,sentiment,urgency,sure\n")
    monkeypatch.setattr(data, "ADDED", added)
    monkeypatch.setattr(data, "SECOND_LABELS", added / "second_labels.csv")
    monkeypatch.setattr(record, "TEST_READINGS", (added / "second_labels.csv",) * 2)
    monkeypatch.setenv("PLAINT_DATA", str(folder))
    monkeypatch.setenv("PLAINT_CLASSIFY__MODELS", str(tmp_path / "own"))
    monkeypatch.setitem(BASES, "minilm", encoder)
    monkeypatch.setitem(RECIPES, "tiny", Recipe(batch=8, rate=3e-3, head_rate=3e-2, average=0.8))
    monkeypatch.setattr(export, "LEAST_AGREEMENT", 0.0)  # of posts that mean nothing to it, int8 takes some otherwise
    return folder


def test_from_posts_to_weights_that_serve_in_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--epochs", "3", "--run", str(tmp_path / "run")]
    cli.main(command, standalone_mode=False)
    told = capsys.readouterr()
    assert "60 posts an epoch, 24 steps" in told.err
    assert "epoch 3: intent F1" in told.err
    assert "on 40 test posts:" in told.out
    assert "intent macro-F1 " in told.out
    [made] = (tmp_path / "own").iterdir()
    assert made.name.startswith("minilm-20")
    assert f"`plaint models use {made.name}`" in told.out
    manifest = load_manifest(made)
    assert FLOAT in manifest.files
    assert manifest.epochs == 3
    assert Engine.load(made).version == made.name
    assert f"# {made.name}" in (made / "README.md").read_text()

    cli.main([*command, "--out", str(made)], standalone_mode=False)
    again = capsys.readouterr()
    assert again.out.partition("saved:")[0] == told.out.partition("saved:")[0]
    assert "step" not in again.err, "what is made already is not made again"
    teacher = ["--teacher", str(tmp_path / "run")]
    for other in (["train", "--epochs", "3", "--run", str(tmp_path)], [*command, "--seed", "9"], [*command, *teacher]):
        with pytest.raises(FaultsFound, match="is there already, and not made by this run"):
            cli.main([*other, "--out", str(made)], standalone_mode=False)


def test_the_same_seed_and_data_give_the_same_weights_and_others_do_not(tmp_path: Path, encoder: Base) -> None:
    def trained(name: str, plan: Plan) -> bytes:
        run_training(tmp_path / name, plan, Lines(write=lambda line: None))
        state = load_network(tmp_path / name / "network.pt").state_dict()
        return b"".join(tensor.numpy().tobytes() for tensor in state.values())

    plan = Plan(encoder, epochs=1, seed=4)
    first = trained("first", plan)
    assert trained("second", plan) == first
    assert trained("third", replace(plan, seed=5)) != first
    taught = replace(plan, teachers=(Trained(tmp_path / "first"),))
    student = trained("student", taught)
    assert student != first
    (tmp_path / "student" / "checkpoint.pt").unlink()
    assert trained("student", taught) == student, "the teacher's answers that lay there change nothing"
    for name, other in (
        ("first", replace(plan, seed=9)),
        ("student", replace(taught, teachers=(Trained(tmp_path / "third"),))),
    ):
        with pytest.raises(FaultsFound, match="holds a run on other data or by another recipe"):
            trained(name, other)


def test_weights_that_go_on_say_from_which_end_alike_when_broken_off_and_are_no_other_runs(
    tmp_path: Path, encoder: Base, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = Lines(write=lambda line: None)
    run_training(tmp_path / "first", Plan(encoder, epochs=2), quiet)
    export.export(tmp_path / "first", tmp_path / "small-1")
    command = ["train", "--epochs", "2", "--model", str(tmp_path / "small-1"), "--run", str(tmp_path / "second")]
    cli.main([*command, "--out", str(tmp_path / "small-2")], standalone_mode=False)
    assert load_manifest(tmp_path / "small-2").went_on_from == Trained(tmp_path / "small-1").name
    assert "with seed 20, going on from small-1 (sha256 " in (tmp_path / "small-2" / "README.md").read_text()
    with pytest.raises(FaultsFound, match="is there already, and not made by this run"):
        cli.main([*command, "--out", str(tmp_path / "small-1")], standalone_mode=False)

    class Broken(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("epoch 1"):
            raise Broken

    plan = Plan(encoder, start=Trained(tmp_path / "small-1"), epochs=2)
    with pytest.raises(Broken):
        run_training(tmp_path / "third", plan, Lines(write=stop))
    run_training(tmp_path / "third", plan, quiet)
    whole, halves = (load_network(tmp_path / name / "network.pt").state_dict() for name in ("second", "third"))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


@pytest.mark.parametrize("missing", ["run.json", "tokenizer.json"])
def test_what_is_missing_of_a_finished_training_is_told_before_anything_is_made(
    tmp_path: Path, encoder: Base, missing: str
) -> None:
    run_training(tmp_path / "whole", Plan(encoder, epochs=1), Lines(write=lambda line: None))
    (tmp_path / "whole" / missing).unlink()
    for option in ("--model", "--teacher"):
        command = ["train", option, str(tmp_path / "whole"), "--run", str(tmp_path / "run")]
        with pytest.raises(
            FaultsFound, match=rf"{option} .*whole: can't be read: .*; it needs network.pt, run.json and"
        ):
            cli.main(command, standalone_mode=False)
    assert not (tmp_path / "run").exists()


def test_clear_leaves_out_sources_whose_terms_are_unclear(posts: Path) -> None:
    every, clear = load_parts(posts).train, load_parts(posts, clear=True).train
    assert {example.source for example in every} - {example.source for example in clear} == {"cf_disaster"}
    assert len(every) == len(clear) + 2
    assert "labelled.jsonl" in file_hashes(posts)


def test_weights_that_were_trained_on_clear_sources_say_so_and_had_a_clear_teacher(
    tmp_path: Path, encoder: Base
) -> None:
    quiet = Lines(write=lambda line: None)
    run_training(tmp_path / "unclear", Plan(encoder, epochs=1), quiet)
    run_training(tmp_path / "clear", Plan(encoder, epochs=1, clear=True), quiet)
    unclear, clear = Trained(tmp_path / "unclear"), Trained(tmp_path / "clear")
    with pytest.raises(FaultsFound, match="was trained on the sources whose terms are unclear"):
        run_training(tmp_path / "student", Plan(encoder, teachers=(unclear,), clear=True, epochs=1), quiet)
    run_training(tmp_path / "student", Plan(encoder, teachers=(clear,), clear=True, epochs=1), quiet)
    evaluation = export.export(tmp_path / "student", tmp_path / "weights")
    assert load_manifest(tmp_path / "weights").clear
    assert "cf_disaster" not in {one.source for one in evaluation.sources}
    assert sum(one.train for one in evaluation.sources) == 58


def test_a_model_of_several_languages_is_made_of_posts_in_each_and_its_teachers_teach_the_english_ones(
    tmp_path: Path, posts: Path, encoder: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "added" / "models" / "data" / "written" / "multilingual"
    written.mkdir()
    german = [
        {"text": f"kaputt und niemand antwortet mir {number}", "language": "de"} | COMPLAINT for number in range(40)
    ]
    (written / "de.jsonl").write_text("".join(json.dumps(post) + "\n" for post in german))
    tested = [
        {"id": f"W-{number}", "text": f"schon wieder kaputt {number}", "lang": "de"} | COMPLAINT for number in range(30)
    ]
    (posts / "written_multilingual.jsonl").write_text("".join(json.dumps(post) + "\n" for post in tested))
    tokenizer = json.dumps(unigram()).encode()
    shape = replace(SHAPE, vocabulary=len(LETTERS), one_query=True)
    state = {name: value for name, value in Network(shape).state_dict().items() if not name.startswith("heads")}
    files = {"weights": save(state), "tokenizer.json": tokenizer}
    hashes = [hashlib.sha256(content).hexdigest() for content in files.values()]
    many = replace(
        encoder,
        name="many",
        sha256=hashes[0],
        tokenizer_sha256=hashes[1],
        shape=shape,
        weights="weights",
        read=lambda _, name: files[name],
        multilingual=True,
    )
    recipe = Recipe(epochs=4, batch=8, rate=3e-3, head_rate=3e-2, average=0.8, english_turns=3)
    monkeypatch.setitem(RECIPES, "many", recipe)
    told: list[str] = []
    run_training(tmp_path / "teacher", Plan(encoder, epochs=1), Lines(write=told.append))
    run_training(tmp_path / "run", Plan(many, teachers=(Trained(tmp_path / "teacher"),)), Lines(write=told.append))
    train = load_parts(posts, multilingual=True).train
    logits = taught(tmp_path / "run", [Trained(tmp_path / "teacher")], train)
    assert [bool(row.isnan().any()) for row in logits] == [post.language != "en" for post in train]
    assert load_run(tmp_path / "run").multilingual
    evaluation = export.export(tmp_path / "run", tmp_path / "weights")
    assert load_manifest(tmp_path / "weights").languages[:3] == ("en", "ar", "de")
    [spoken] = [one for one in evaluation.test.slices if (one.by, one.name) == ("language", "de")]
    assert spoken.posts == 30
    assert Engine.load(tmp_path / "weights").score(["schon wieder kaputt"])
    monkeypatch.setattr(export, "MOST_FLOAT_BYTES", 1000)
    export.export(tmp_path / "run", tmp_path / "slim")
    assert FLOAT not in load_manifest(tmp_path / "slim").files
    assert not (tmp_path / "slim" / FLOAT).exists()


def test_a_student_of_two_teachers_learns_the_mean_of_what_they_say(tmp_path: Path, encoder: Base, posts: Path) -> None:
    told: list[str] = []
    for seed, name in enumerate(("first", "second")):
        run_training(tmp_path / name, Plan(encoder, epochs=1, seed=seed), Lines(write=told.append))
    both = (Trained(tmp_path / "first"), Trained(tmp_path / "second"))
    run_training(tmp_path / "student", Plan(encoder, teachers=both, epochs=1), Lines(write=told.append))
    assert "2 teachers read 60 posts" in told
    train = load_parts(posts).train
    first, second = (taught(tmp_path / "alone", [one], train) for one in _apart(tmp_path, both))
    assert torch.allclose(taught(tmp_path / "student", both, train), (first + second) / 2, atol=1e-2)
    assert not torch.allclose(first, second, atol=1e-2)


def _apart(tmp_path: Path, teachers: tuple[Trained, ...]) -> Iterator[Trained]:
    """Each with a folder that holds no one's answers yet."""
    for teacher in teachers:
        shutil.rmtree(tmp_path / "alone", ignore_errors=True)
        (tmp_path / "alone").mkdir()
        yield teacher


def test_plain_lines_tell_now_and_then_how_long_it_takes() -> None:
    told: list[str] = []
    clock = iter(range(1000, 2000, 10))
    lines = Lines(now=lambda: float(next(clock)), write=told.append)
    for step in range(21, 151):
        lines.step(step, 200, 1.25)
    assert told == [
        "step 50/200 loss 1.250 0.34 s/step, 52 s left",
        "step 100/200 loss 1.250 0.25 s/step, 25 s left",
        "step 150/200 loss 1.250 0.23 s/step, 12 s left",
    ]
    assert [duration(seconds) for seconds in (89, 150, 3900)] == ["89 s", "2 min", "1 h 05 min"]
