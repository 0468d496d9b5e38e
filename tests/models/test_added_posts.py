"""The labels and posts that this repository adds to the training: well formed, of sources that may be trained on."""

import csv
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from models.evaluation.bootstrap import bootstrap, figure
from models.evaluation.sources import SOURCES
from models.store import WEIGHTS
from models.text import normalise
from models.training.data import (
    ADDED,
    DEV_READINGS,
    ENGLISH,
    HELD_OUT_SOURCES,
    MULTILINGUAL,
    OTHER_LANGUAGES,
    SECOND_LABELS,
    TEST_READINGS,
    TEST_SECOND_LABELS,
    Example,
    data_folder,
    file_hashes,
    load_parts,
    read_added,
    read_ids,
    read_labels,
    settled,
    text_digest,
    with_labels_of,
)
from schemas.faults import FaultsFound
from schemas.labels import Intent, Sentiment
from tests.bench.readings import Reading, agreement

LABELS = sorted((ADDED / "labels").rglob("*.csv"))
WRITTEN = sorted((ADDED / "written").rglob("*.jsonl"))
KEYS = {"text", "intent", "sentiment", "urgency", "sure"}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="ascii", newline="") as lines:
        return list(csv.DictReader(lines))


def well_labelled(row: dict[str, Any]) -> bool:
    labels = Intent(row["intent"]), Sentiment(row["sentiment"])
    return len(labels) == 2 and str(row["urgency"]) in set("01234") and row["sure"] in (True, False, "0", "1")


@pytest.mark.parametrize("path", LABELS, ids=lambda path: path.parent.name + "/" + path.stem)
def test_labels_of_public_posts_hold_no_text_and_name_each_row_once(path: Path) -> None:
    rows = rows_of(path)
    assert rows
    assert len({row["row"] for row in rows}) == len(rows)
    for row in rows:
        assert set(row) - {"language"} == {"row", "digest", "intent", "sentiment", "urgency", "sure"}
        assert re.fullmatch(r"[0-9a-f]{12}", row["digest"])
        assert well_labelled(row)


def test_no_source_that_is_held_out_or_of_unknown_terms_was_labelled() -> None:
    sources = {path.stem for path in LABELS}
    assert not sources & set(HELD_OUT_SOURCES)
    assert sources <= set(SOURCES)


def test_second_labels_are_of_training_posts_and_name_each_once() -> None:
    rows = rows_of(SECOND_LABELS)
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids) > 2000
    assert all(well_labelled(row) and re.fullmatch(r"[0-9a-f]{12}", row["digest"]) for row in rows)
    assert not set(ids) & set().union(*map(read_ids, ("dev", "test_seen", "test_unseen", "excluded")))


def test_a_post_is_trained_on_by_its_second_labels_and_another_text_under_its_id_is_told(
    tmp_path: Path,
) -> None:
    first, other = (Example(str(number), "nlupp", f"late {number}", 4, 1, 0, sure=False) for number in (1, 2))
    path = tmp_path / "second_labels.csv"
    path.write_text(f"id,digest,intent,sentiment,urgency,sure\n1,{text_digest('late 1')},complaint,negative,3,1\n")
    assert with_labels_of(path, [first, other]) == [Example("1", "nlupp", "late 1", 0, 0, 3, sure=True), other]
    with pytest.raises(FaultsFound, match="1 is not the post that was labelled; let PLAINT_DATA name the sets"):
        with_labels_of(path, [replace(first, text="late, but another")])


def test_what_two_of_three_readers_say_is_the_settled_label(tmp_path: Path) -> None:
    first = [Example(str(number), "nlupp", f"late {number}", 4, 1, 0, sure=False) for number in range(4)]
    readings = {
        "second": ["complaint,negative,3,1", "complaint,neutral,2,1", "complaint,negative,2,1", "other,neutral,0,1"],
        "third": ["complaint,negative,3,0", "question,neutral,3,1", "other,negative,2,1"],
    }
    for name, labels in readings.items():
        rows = (f"{number},{text_digest(f'late {number}')},{label}\n" for number, label in enumerate(labels))
        (tmp_path / name).write_text("id,digest,intent,sentiment,urgency,sure\n" + "".join(rows))
    found = [
        (post.intent, post.sentiment, post.urgency, post.sure)
        for post in settled(first, (tmp_path / "second", tmp_path / "third"))
    ]
    assert found == [
        (0, 0, 3, False),  # both others agree
        (4, 1, 2, False),  # three intents: the first's; three urgencies: the middle one
        (4, 0, 2, False),
        (4, 1, 0, False),  # nobody had to read it a third time
    ]


@pytest.mark.skipif(not data_folder().exists(), reason="needs the public sets: PLAINT_DATA")
def test_every_dev_post_was_read_three_times_and_of_the_test_posts_those_where_two_differ() -> None:
    def read(path: Path) -> set[str]:
        rows = rows_of(path)
        assert len({row["id"] for row in rows}) == len(rows)
        assert all(well_labelled(row) for row in rows)
        return {row["id"] for row in rows}

    parts = load_parts(data_folder())
    assert [read(path) for path in DEV_READINGS] == [{post.id for post in parts.dev}] * 2
    second = with_labels_of(TEST_READINGS[0], parts.test)
    differ = {
        one.id
        for one, two in zip(parts.test, second, strict=True)
        if (one.intent, one.sentiment, one.urgency) != (two.intent, two.sentiment, two.urgency)
    }
    assert differ <= read(TEST_READINGS[1]) < {post.id for post in parts.test}


@pytest.mark.skipif(not data_folder().exists(), reason="needs the public sets: PLAINT_DATA")
def test_each_test_post_was_read_twice_and_the_card_says_how_far_both_readers_agree() -> None:
    posts = load_parts(data_folder()).test
    assert sorted(row["id"] for row in rows_of(TEST_SECOND_LABELS)) == sorted(post.id for post in posts)
    readings = Reading.of(posts), Reading.of(with_labels_of(TEST_SECOND_LABELS, posts))
    found = figure(bootstrap(len(posts), partial(agreement, *readings))["intent F1"])
    assert found is not None
    interval = f"{found.low:.3f}–{found.high:.3f}; `python -m tests.bench.second_reader`"
    told = f"at an intent macro-F1 of {found.value:.3f}\n({interval})"
    cards = {name: (WEIGHTS / name / "README.md").read_text() for name in ("minilm-5", "multi-1")}
    assert told in cards["minilm-5"]
    assert "second_reader" not in cards["multi-1"], "it learned from first labels alone"


def test_no_post_of_more_than_a_word_was_written_twice_and_each_is_labelled() -> None:
    texts: list[str] = []
    for path in WRITTEN:
        for line in path.read_text(encoding="utf-8").splitlines():
            post = json.loads(line)
            assert set(post) - {"language"} == KEYS, line
            assert ("language" in post) == (path.parent.name == "multilingual")
            assert well_labelled(post)
            texts += [post["text"]] if " " in post["text"] else []
    assert len(set(texts)) == len(texts) > 2000


@pytest.mark.skipif(not data_folder().exists(), reason="needs the public sets: PLAINT_DATA")
def test_the_public_posts_are_those_that_were_labelled_and_none_is_a_test_post() -> None:
    added = read_added(data_folder())
    assert len(added) > 10_000
    trained_on = {post.id for post in load_parts(data_folder()).train}
    assert {row["id"] for row in rows_of(SECOND_LABELS)} <= trained_on
    assert not {post.id for post in added} & set().union(*map(read_ids, ("dev", "test_seen", "test_unseen")))


@pytest.mark.skipif(not data_folder().exists(), reason="needs the public sets: PLAINT_DATA")
def test_posts_in_other_languages_come_only_where_they_are_asked_for_and_each_stands_in_one_part() -> None:
    english, all_of_them = (load_parts(data_folder(), multilingual=multilingual) for multilingual in (False, True))
    assert {post.language for post in english.train + english.dev + english.test} == {"en"}
    for part in (all_of_them.train, all_of_them.dev, all_of_them.test):
        assert {post.language for post in part} >= {ENGLISH, *OTHER_LANGUAGES}
    assert [post.id for post in all_of_them.train[: len(english.train)]] == [post.id for post in english.train]
    more = file_hashes(data_folder(), multilingual=True).keys() - file_hashes(data_folder()).keys()
    assert more
    assert all(MULTILINGUAL in name for name in more)


@pytest.mark.skipif(not data_folder().exists(), reason="needs the public sets: PLAINT_DATA")
@pytest.mark.parametrize("multilingual", [False, True])
def test_no_dev_or_test_post_repeats_one_that_is_trained_on_whatever_its_id(multilingual: bool) -> None:
    parts = load_parts(data_folder(), multilingual=multilingual)
    trained, watched, tested = (
        {normalise(post.text) for post in part} for part in (parts.train, parts.dev, parts.test)
    )
    assert not trained & watched
    assert not trained & tested
    assert not watched & tested


@pytest.mark.skipif(not data_folder().exists(), reason="needs the public sets: PLAINT_DATA")
def test_half_of_the_real_posts_of_each_other_language_are_test_posts() -> None:
    excluded, tested = read_ids("multilingual_excluded"), read_ids("multilingual_test")
    real = [post for post in read_labels(data_folder(), MULTILINGUAL) if post.id not in excluded]
    assert tested <= {post.id for post in real}
    assert not tested & read_ids("multilingual_dev")
    for language in {post.language for post in real}:
        mine = [post for post in real if post.language == language]
        assert sum(post.id in tested for post in mine) / len(mine) == pytest.approx(0.5, abs=0.03)
