"""``plaint evaluate`` as a person runs it, and every command of docs/evaluation.md."""

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.command import environment, plaint, shown, unheard
from tests.support.forked import Done, forked
from tests.support.pages import REPOSITORY, Command, blocks, commands

TINY = REPOSITORY / "tests" / "models" / "tiny-2"
PAGE = REPOSITORY / "docs" / "evaluation.md"
[SAMPLE] = [block.text for block in blocks(PAGE, "jsonl")]
TWEETS = '{"tweet": "my bag is lost, third time", "label": 1}\n{"tweet": "a lovely day", "label": 0}\n'
COMMANDS = [command for command in commands(PAGE) if command.parts()[-1][:2] == ["plaint", "evaluate"]]
TRAIN_EXTRA = all(find_spec(name) for name in ("sklearn", "vaderSentiment"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the files that the page speaks of."""
    (tmp_path / "labelled.jsonl").write_text(SAMPLE)
    (tmp_path / "tweets.jsonl").write_text(TWEETS)
    shutil.copytree(TINY, tmp_path / "our-model")
    return tmp_path


def run(folder: Path, *words: str, **settings: str) -> Done:
    return forked(["evaluate", *words], folder, environment({"PLAINT_CLASSIFY__MODEL": str(TINY), **settings}), 120)


def test_the_page_has_commands_to_try() -> None:
    assert len(COMMANDS) == 6


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.line)
def test_every_command_on_the_page_does_what_it_says(folder: Path, command: Command) -> None:
    words = command.parts()[-1][2:]
    if "--baselines" in words:
        if not TRAIN_EXTRA or "PLAINT_DATA" not in os.environ:
            pytest.skip("NOT RUN WITH BASELINES: the extra train or PLAINT_DATA is missing")
        done = run(folder, *words, PLAINT_DATA=os.environ["PLAINT_DATA"])
        assert "VADER: sentiment by a lexicon" in done.said
    else:
        done = run(folder, *words)
    assert done.code == 0, done.said
    assert ("label=1" in command.line) == ("complaint macro-F1" in done.said)
    if "--out" in words:
        assert {file.name for file in (folder / "report").iterdir()} == {
            "report.json",
            "report.md",
            "confusion.svg",
            "reliability.svg",
        }
    if "--against" in words:
        assert "intent: ahead by" in done.said


def test_the_files_are_written_also_where_nobody_reads_the_report(folder: Path) -> None:
    done = unheard(
        *("evaluate", "labelled.jsonl", "--out", "report"), cwd=folder, settings={"PLAINT_CLASSIFY__MODEL": str(TINY)}
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "report" / "report.json").exists()


def test_the_files_are_written_also_where_nobody_reads_of_a_line_that_cannot_be_used(folder: Path) -> None:
    with (folder / "labelled.jsonl").open("a") as file:
        file.write("no post\n")
    settings = {"PLAINT_CLASSIFY__MODEL": str(TINY)}
    done = unheard("evaluate", "labelled.jsonl", "--out", "report", cwd=folder, settings=settings, errors_too=True)
    assert done.returncode == 1
    assert (folder / "report" / "report.json").exists()


def test_what_the_page_says_of_the_places_of_figures_is_so(folder: Path) -> None:
    done = plaint(
        "evaluate", "-", "--json", cwd=folder, stdin=SAMPLE.encode(), settings={"PLAINT_CLASSIFY__MODEL": str(TINY)}
    )
    assert done.returncode == 0, shown(done)
    report = json.loads(done.stdout)
    assert set(report["measures"]["intent"]["macro_f1"]) == {"value", "low", "high"}
    assert {part["by"] for part in report["slices"]} == {"source", "length", "sure"}
    assert report["model"] == "tiny-2"


def test_bad_lines_are_named_the_rest_is_evaluated_and_the_exit_code_says_so(folder: Path) -> None:
    bad = '{"text": "x", "intent": "complant"}\nno json\n'
    hostile = '{"text": "\\u001b[31mred", "intent": "other", "source": "\\u001b[2J"}\n'
    (folder / "labelled.jsonl").write_text(SAMPLE + bad + hostile + "[]\n" * 30)
    done = run(folder, "labelled.jsonl")
    assert done.code == 1
    assert 'line 4: intent "complant" is none; did you mean "complaint"?' in done.said
    assert "line 5: this is no JSON" in done.said
    assert "32 lines can't be used, 4 can" in done.said
    assert done.said.count("this is no object") == 18
    assert "\x1b" not in done.said
    assert "all (4)" in done.said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["empty.jsonl"], "empty.jsonl: there is no labelled post in it; give JSON Lines such as"),
        (["nowhere.jsonl"], "No such file"),
        (["labelled.jsonl", "--model", "./nowhere"], "nowhere/manifest.json can't be read"),
        (["labelled.jsonl", "--complaints", "label"], "FIELD=VALUE"),
        (["labelled.jsonl", "--out", "tweets.jsonl"], "tweets.jsonl"),
        (["labelled.jsonl", "--out", "tweets.jsonl/below"], "name another folder"),
    ],
)
def test_what_cannot_be_used_is_told_without_a_traceback(folder: Path, words: list[str], said: str) -> None:
    (folder / "empty.jsonl").touch()
    done = run(folder, *words)
    assert done.code == 2
    assert said in done.said
    assert "Traceback" not in done.said


def test_baselines_without_training_posts_say_what_they_need(folder: Path) -> None:
    done = run(folder, "labelled.jsonl", "--baselines", PLAINT_DATA=str(folder / "nowhere"))
    assert done.code == 69
    assert ("PLAINT_DATA" if TRAIN_EXTRA else "pip install 'plaint[train]'") in done.said
    assert "Traceback" not in done.said


def test_a_threshold_of_the_settings_decides_who_is_unsure(folder: Path) -> None:
    done = run(folder, "labelled.jsonl", "--out", "report", PLAINT_CLASSIFY__UNSURE_BELOW="1")
    assert done.code == 0, done.said
    unsure = json.loads((folder / "report" / "report.json").read_text())["measures"]["unsure"]
    assert (unsure["below"], unsure["posts"]) == (1.0, 3)


def test_the_card_of_the_page_is_fresh() -> None:
    [block] = blocks(PAGE, "sh")
    *_, check = block.text.splitlines()
    assert check == "python -m models.evaluation.card models/weights/minilm-5 --check"
    from models.evaluation.card import stale

    assert stale(REPOSITORY / "models" / "weights" / "minilm-5") == []
