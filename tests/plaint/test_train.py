"""``plaint train`` as a person runs it, and every command of docs/training.md."""

import io
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

from plaint.bar import Bar
from plaint.cli import cli
from plaint.training import free_folder, read_corrections, refuse_without_extra
from schemas.faults import FaultsFound, Unavailable
from tests.support.command import environment
from tests.support.forked import Done, forked
from tests.support.pages import REPOSITORY, blocks

TINY = REPOSITORY / "tests" / "models" / "tiny-2"
PAGE = REPOSITORY / "docs" / "training.md"
TRAIN_EXTRA = all(find_spec(name) for name in ("torch", "onnx", "safetensors", "sklearn"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the corrections of the page."""
    [sample] = [block.text for block in blocks(PAGE, "jsonl")]
    (tmp_path / "corrections.jsonl").write_text(sample)
    return tmp_path


def run(folder: Path, *words: str) -> Done:
    settings = {"PLAINT_CLASSIFY__MODELS": str(folder / "own"), "PLAINT_DATA": str(folder / "nowhere")}
    return forked(["train", *words], folder, environment(settings), 120)


def test_the_corrections_of_the_page_are_read_and_bad_lines_named(folder: Path) -> None:
    page = (folder / "corrections.jsonl").read_bytes()
    found = read_corrections(page + b'{"text": "x", "intent": "complant"}\n', "corrections.jsonl")
    assert len(found.posts) == 4
    [fault] = found.faults
    assert str(fault) == 'line 5: intent "complant" is none; did you mean "complaint"?'
    with pytest.raises(FaultsFound, match="there is no correction in it"):
        read_corrections(b"\n", "corrections.jsonl")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "nobodys"], 'no model is called "nobodys"'),
        (["--even-if-worse"], "--even-if-worse goes with --corrections"),
        (["--corrections", "corrections.jsonl", "--epochs", "3"], "--epochs can't be used with --corrections"),
        (["--corrections", "corrections.jsonl", "--clear"], "--clear can't be used with --corrections"),
        (["--corrections", "corrections.jsonl", "--model", "nobodys"], 'no model is called "nobodys"'),
        (["--corrections", "nowhere.jsonl"], "No such file"),
        (["--base", "bert"], "'bert' is not one of"),
    ],
)
def test_what_cannot_be_meant_is_told(folder: Path, words: list[str], said: str) -> None:
    done = run(folder, *words)
    assert done.code == 2, done.said
    assert said in done.said
    assert "Traceback" not in done.said


@pytest.mark.skipif(TRAIN_EXTRA, reason="the train extra is installed")
@pytest.mark.parametrize("words", [[], ["--corrections", "corrections.jsonl", "--model", str(TINY)]])
def test_without_the_train_extra_it_says_what_to_install(folder: Path, words: list[str]) -> None:
    done = run(folder, *words)
    assert done.code == 69
    assert "pip install 'plaint[train]'" in done.said
    assert "Traceback" not in done.said


def test_each_package_that_training_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaint.training.PACKAGES", {"json": "json", "no_such_module": "no-such-package"})
    with pytest.raises(Unavailable, match=r"^training needs no-such-package: pip install 'plaint\[train\]'$"):
        refuse_without_extra()


@pytest.mark.skipif(not TRAIN_EXTRA, reason="NOT TRAINED: needs the train extra")
def test_data_that_is_not_there_and_weights_without_a_float_network_are_told(folder: Path) -> None:
    done = run(folder)
    assert done.code == 69, done.said
    assert "PLAINT_DATA" in done.said
    (folder / "again").mkdir()
    assert "is there already" in run(folder, "--out", "again").said
    assert "--teacher again: holds no float network" in run(folder, "--teacher", "again").said
    assert "tiny-2: holds no float network" in run(folder, "--model", str(TINY)).said
    done = run(folder, "--corrections", "corrections.jsonl", "--model", str(TINY))
    assert done.code == 2
    assert "has no network.safetensors" in done.said
    assert "Traceback" not in done.said


@pytest.mark.skipif(not TRAIN_EXTRA, reason="NOTHING LEARNED FROM CORRECTIONS: needs the train extra")
def test_corrections_are_learned_or_refused_and_the_exit_code_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, so that it is quick: two epochs over few posts."""
    from models.training import continuing, corrections
    from models.training.data import read_written
    from models.training.train import Recipe
    from tests.support.float_model import float_model

    base = float_model(tmp_path / "weights" / "tiny-float")
    before, check = read_written()
    monkeypatch.setattr(continuing, "read_written", lambda: (before[:40], check[:40]))
    monkeypatch.setattr(corrections, "RECIPE", Recipe(epochs=2, rate=4e-4, head_rate=4e-3, average=0.9))
    monkeypatch.setenv("PLAINT_CLASSIFY__MODELS", str(tmp_path / "own"))
    monkeypatch.setenv("PLAINT_DATA", str(tmp_path / "nowhere"))
    nouns = NOUNS.split()
    pairs = zip(nouns, nouns[7:] + nouns[:7], strict=True)
    lines = [f'{{"text": "\\u001b[31m{one} {other}", "intent": "praise"}}' for one, other in pairs]
    (tmp_path / "corrections.jsonl").write_text("\n".join([*lines, "no json"]))
    command = ["train", "--corrections", str(tmp_path / "corrections.jsonl"), "--model", str(base)]

    def code_of(*more: str) -> int | str | None:
        with pytest.raises(SystemExit) as ended:
            cli.main([*command, *more], standalone_mode=False)
        return ended.value.code

    assert code_of("--even-if-worse") == 1  # for the line that is no JSON
    told = capsys.readouterr()
    assert f"line {len(lines) + 1}: this is no JSON" in told.err
    assert f"1 lines can't be used, {len(lines)} can" in told.err
    assert "your held-out corrections (" in told.out
    assert "calibration and thresholds: kept from tiny-float" in told.out
    assert "\x1b" not in told.out + told.err
    [made] = (tmp_path / "own").iterdir()
    assert made.name.startswith("tiny-float-20")
    assert f"`plaint models use {made.name}`" in told.out

    with monkeypatch.context() as patch:
        patch.setattr(corrections, "LEAST_WATCHED", 1)
        patch.setattr(corrections.Watch, "distance", lambda *_: 1.0)  # no better than before
        assert code_of("--out", str(tmp_path / "elsewhere")) == 1
        told = capsys.readouterr()
        assert "not saved: nothing was learned" in told.out
        assert not (tmp_path / "elsewhere").exists()

    monkeypatch.setattr(continuing, "fallen", lambda compared, allowed: [f"it fell on {compared.what}"])
    assert code_of("--out", str(tmp_path / "elsewhere")) == 1
    told = capsys.readouterr()
    assert "not saved: it got worse" in told.out
    assert not (tmp_path / "elsewhere").exists()


NOUNS = """lamp kettle fridge router ladder phone basket mirror carpet pillow guitar hammer scarf bottle candle window jacket
shovel pencil drawer engine camera blanket teapot saddle anchor ribbon spoon trumpet cushion lantern violin gravel
saucer compass"""


def test_a_model_gets_a_dated_name_that_is_free(tmp_path: Path) -> None:
    today = date(2026, 5, 1)
    first = free_folder(tmp_path, "minilm-5", today)
    assert first == tmp_path / "minilm-5-2026-05-01"
    first.mkdir()
    assert free_folder(tmp_path, "minilm-5-2025-12-24-2", today).name == "minilm-5-2026-05-01-2"


def test_the_bar_shows_a_person_the_steps_and_the_time_left() -> None:
    screen = io.StringIO()
    with Bar(Console(file=screen, force_terminal=True, width=120)) as bar:
        bar.say("reading \x1b[31m[red]posts")
        bar.step(1, 40, 2.5)
        bar.step(2, 40, 2.25)
    shown = screen.getvalue()
    assert "\\x1b[31m[red]posts" in shown
    assert "step 2/40" in shown
    assert "2.250" in shown
