"""What the classify stage makes of later states of a post, as its own producers write them to Kafka."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from classify.batch import Classifier
from models.outputs import Scores
from plaint.workers.classify import ClassifyStage
from plaint.workers.stage import Dropped, InRecord, Outcome, Result
from schemas import topics
from schemas.post import Post
from schemas.reasons import DropReason
from schemas.triage import Triage

AT = 1_777_636_800.123


class Model:
    version = "test"
    urgent_threshold = unsure_below = 0.5
    languages: tuple[str, ...] = ("en",)

    def score(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores((1.0, 0.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0, 0.0), 0.0) for _ in texts]


@pytest.fixture
def stage() -> ClassifyStage:
    return ClassifyStage(Classifier(Model()), 100)


def record(offset: int, **fields: Any) -> InRecord:
    value = Post.model_validate({"id": "x:1", "text": "My order never came", **fields}).model_dump_json(
        exclude_unset=True
    )
    return InRecord(topics.POSTS, 0, offset, b"x:1", value.encode(), AT + offset)


def labelled(stage: ClassifyStage, *records: InRecord) -> list[Outcome]:
    found = stage.process(records)
    stage.took(records)
    return found


def passed(outcome: Outcome) -> Post:
    assert isinstance(outcome, Result)
    return Triage.from_bytes(outcome.records[0].value).post


def test_an_edit_and_a_delete_without_a_revision_are_later_than_what_came_before(stage: ClassifyStage) -> None:
    create, edit, delete = (record(0), record(1, event="edit", text="It came"), record(2, event="delete", text=""))
    found = [*labelled(stage, create), *labelled(stage, edit), *labelled(stage, delete)]
    assert [(passed(one).event, passed(one).revision) for one in found] == [
        ("create", 0),
        ("edit", 1_777_636_801_123),
        ("delete", 1_777_636_802_123),
    ]
    assert labelled(stage, delete) == [Dropped(DropReason.REPEATED)]


def test_an_edit_that_leaves_no_text_takes_the_post_back_and_an_older_one_changes_nothing(stage: ClassifyStage) -> None:
    labelled(stage, record(0))
    [emptied] = labelled(stage, record(1, event="edit", revision=9, text=" \u200b"))
    assert passed(emptied) == Post(id="x:1", event="delete", revision=9)
    assert labelled(stage, record(2, event="edit", revision=5)) == [Dropped(DropReason.STALE_REVISION)]


def test_a_new_post_without_text_is_dropped(stage: ClassifyStage) -> None:
    assert labelled(stage, record(0, text="\n")) == [Dropped(DropReason.EMPTY_TEXT)]
    assert passed(labelled(stage, record(1, event="edit", text="Now it says something"))[0]).event == "edit"


def test_a_delete_that_brings_the_text_along_is_passed_on_without_it(stage: ClassifyStage) -> None:
    [outcome] = labelled(stage, record(0, event="delete", revision=3, author={"handle": "ann"}, network="x"))
    assert isinstance(outcome, Result)
    assert not any(word in outcome.records[0].value for word in (b"order", b"ann"))
    assert passed(outcome) == Post(id="x:1", event="delete", revision=3, network="x")


def test_of_records_read_together_each_keeps_its_partition_and_time_and_a_repeat_is_dropped(
    stage: ClassifyStage,
) -> None:
    read = [record(0), record(1), record(2, event="edit"), record(3, event="edit", revision=7), record(4, id="x:2")]
    found = labelled(stage, *(replace(one, partition=offset % 3) for offset, one in enumerate(read)))
    assert found[1] == Dropped(DropReason.REPEATED)
    assert found[3] == Dropped(DropReason.STALE_REVISION)
    results = {offset: one.records[0] for offset, one in enumerate(found) if isinstance(one, Result)}
    assert {offset: (one.partition, one.key) for offset, one in results.items()} == {
        0: (0, b"x:1"),
        2: (2, b"x:1"),
        4: (1, b"x:2"),
    }
    assert passed(found[2]).revision == 1_777_636_802_123
