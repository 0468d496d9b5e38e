"""A report states what the labels and a model's answers allow, whole, by slice, and beside other models."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from models.engine import Engine
from models.evaluation.evaluate import Entrant, Plan, answers_of, band, evaluate
from models.evaluation.labelled import LabelledPost
from models.evaluation.measures import Answers
from models.evaluation.report import LEAST_POSTS, Figure, Head, Report, Urgent
from models.evaluation.tables import tables
from models.evaluation.written import text, write_report
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES, Intent, Sentiment

TINY = Path(__file__).parent / "tiny-2"
PLAN = Plan(unsure_below=0.5, rounds=50)


def one_hot(labels: list[int], classes: int, sure: float = 0.9) -> np.ndarray:
    """Chances of posts that are given these labels."""
    rest = (1 - sure) / (classes - 1)
    return np.where(np.eye(classes)[labels] == 1, sure, rest)


def posts(count: int = 40, **fields: object) -> list[LabelledPost]:
    """One in four is an urgent complaint, the rest is chatter."""
    kinds = [(Intent.COMPLAINT, Sentiment.NEGATIVE, 3)] + [(Intent.OTHER, Sentiment.NEUTRAL, 0)] * 3
    return [
        LabelledPost("word " * (1 + number), intent, sentiment=sentiment, urgency=urgency, **fields)  # type: ignore[arg-type]
        for number in range(count)
        for intent, sentiment, urgency in [kinds[number % 4]]
    ]


def right(given: list[LabelledPost]) -> Answers:
    """Answers without a fault."""
    return Answers(
        intents=one_hot([INTENTS.index(post.intent) for post in given if post.intent], len(INTENTS)),
        sentiments=one_hot([SENTIMENTS.index(post.sentiment) for post in given if post.sentiment], len(SENTIMENTS)),
        urgencies=one_hot([post.urgency for post in given if post.urgency is not None], len(URGENCIES)),
        urgent=np.array([0.9 if post.intent is Intent.COMPLAINT else 0.1 for post in given]),
        threshold=0.5,
    )


def value(figure: Figure | None) -> float:
    assert figure is not None
    return figure.value


def intent_of(report: Report) -> Head:
    assert report.measures.intent is not None
    return report.measures.intent


def urgent_of(report: Report) -> Urgent:
    assert report.measures.urgent is not None
    return report.measures.urgent


def test_faultless_answers_score_one_and_are_as_wrong_about_their_confidence_as_they_say() -> None:
    given = posts()
    report = evaluate(given, "m", right(given), PLAN)
    intent, urgent = intent_of(report), urgent_of(report)
    assert value(intent.macro_f1) == value(urgent.recall) == value(urgent.precision) == 1.0
    assert intent.ece == urgent.ece == pytest.approx(0.1)
    assert value(intent.brier) == pytest.approx(0.1**2 + 4 * 0.025**2, abs=1e-4)
    assert value(intent.log_loss) == pytest.approx(-np.log(0.9), abs=1e-4)
    assert intent.confusion[0] == [10, 0, 0, 0, 0]
    assert intent.labels["praise"].f1 is None
    assert urgent.urgent == urgent.alarms == 10


def test_the_threshold_decides_what_is_urgent() -> None:
    given = posts()
    answers = right(given)
    low = Answers(answers.intents, answers.sentiments, answers.urgencies, answers.urgent, threshold=0.05)
    urgent = urgent_of(evaluate(given, "m", low, PLAN))
    assert (value(urgent.recall), value(urgent.precision), urgent.alarms) == (1.0, 0.25, 40)


def test_posts_below_the_threshold_are_unsure_and_their_accuracy_is_told_apart() -> None:
    given = posts()
    intents = one_hot([0] * 20 + [4] * 20, 5, sure=0.9)
    intents[:20] = one_hot([0] * 20, 5, sure=0.4)
    unsure = evaluate(given, "m", Answers(intents=intents), PLAN).measures.unsure
    assert unsure is not None
    assert (unsure.posts, value(unsure.share)) == (20, 0.5)
    assert (value(unsure.accuracy), value(unsure.accuracy_of_others)) == (0.25, 0.75)


def test_only_what_is_labelled_is_measured() -> None:
    complete = posts()
    alone = [LabelledPost(post.text, sentiment=post.sentiment) for post in complete]
    measures = evaluate(alone, "m", right(complete), PLAN).measures
    assert measures.sentiment is not None
    others = (measures.intent, measures.urgency, measures.urgent, measures.unsure, measures.complaint)
    assert others == (None,) * 5
    mixed = [*alone[:8], *complete[8:]]
    report = evaluate(mixed, "m", right(complete), PLAN)
    assert (intent_of(report).posts, urgent_of(report).posts, report.posts) == (32, 32, 40)


def test_a_set_of_two_classes_is_measured_by_the_most_likely_intent() -> None:
    given = [LabelledPost(post.text, complaint=post.intent is Intent.COMPLAINT) for post in posts()]
    intents = one_hot([0, 4, 2, 4] * 10, 5, sure=0.4)
    report = evaluate(given, "m", Answers(intents=intents), PLAN)
    complaint = report.measures.complaint
    assert complaint is not None
    assert complaint.confusion == [[10, 0], [0, 30]]
    assert report.measures.intent is None
    assert "complaint macro-F1" in text(report)


def test_slices_are_measured_alone_and_small_ones_say_that_they_are_too_small() -> None:
    given = posts(40, source="good") + posts(40, source="bad") + posts(LEAST_POSTS - 1, source="small")
    answers = right(given)
    assert answers.intents is not None
    answers.intents[40:80] = one_hot([1] * 40, 5)
    slices = {(part.by, part.name): part for part in evaluate(given, "m", answers, PLAN).slices}
    found = {name: slices["source", name].measures for name in ("good", "bad", "small")}
    assert found["small"] is None
    assert found["good"] is not None
    assert found["good"].intent is not None
    assert value(found["good"].intent.macro_f1) == 1.0
    assert found["bad"] is not None
    assert found["bad"].intent is not None
    assert value(found["bad"].intent.macro_f1) == 0.0
    assert [name for by, name in slices if by == "length"] == [band("w " * n) for n in (10, 11, 40)]
    assert not [by for by, _ in slices if by in ("language", "origin", "sure")]
    assert sum(part.posts for part in slices.values() if part.by == "length") == len(given)


def test_others_are_compared_on_the_same_draws() -> None:
    given = posts(200)
    mine, twin, worse = right(given), right(given), right(given)
    assert mine.intents is not None
    assert twin.intents is not None
    assert worse.intents is not None
    for answers in (mine.intents, twin.intents, worse.intents):
        answers[:10] = one_hot([1] * 10, 5)
    worse.intents[10:40] = one_hot([1] * 30, 5)
    entrants = [Entrant("twin", "", twin), Entrant("worse", "", worse)]
    same, ahead = (one.ahead["intent"] for one in evaluate(given, "m", mine, PLAN, entrants).contenders)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert 0 < ahead.low < ahead.value < ahead.high


def test_labels_without_chances_have_no_calibration() -> None:
    given = posts()
    head = evaluate(given, "m", Answers(sentiments=np.eye(3)[[1] * 40], calibrated=False), PLAN).measures.sentiment
    assert head is not None
    assert (head.ece, head.brier, head.log_loss) == (None, None, None)
    assert head.macro_f1 is not None


def test_a_real_model_is_evaluated_and_the_report_is_the_same_each_time(tmp_path: Path) -> None:
    given = posts(60, source="a|b <c>", sure=True)
    engine = Engine.load(TINY, threads=1)
    report = evaluate(given, engine.version, answers_of(engine, given), PLAN)
    again = evaluate(given, engine.version, answers_of(engine, given), PLAN)
    assert report == again
    first, second = write_report(tmp_path / "a", report), write_report(tmp_path / "b", again)
    assert [file.name for file in first] == ["report.json", "report.md", "confusion.svg", "reliability.svg"]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    assert Report.model_validate_json(first[0].read_bytes()) == report
    assert "a\\|b &lt;c>" in first[1].read_text()


def test_pictures_show_every_cell_and_every_bin(tmp_path: Path) -> None:
    given = posts()
    report = evaluate(given, "m & <n>", right(given), PLAN)
    write_report(tmp_path, report)
    space = "{http://www.w3.org/2000/svg}"
    confusion = ElementTree.parse(tmp_path / "confusion.svg").getroot()
    counts = [cell.text for cell in confusion.iter(f"{space}text")]
    assert counts.count("10") == 2
    assert counts.count("30") == 2
    assert len(list(confusion.iter(f"{space}rect"))) == 1 + 5 * 5 + 3 * 3
    reliability = ElementTree.parse(tmp_path / "reliability.svg").getroot()
    drawn = sum(len(bins) for name, bins in report.reliability.items() if name != "urgency")
    assert len(list(reliability.iter(f"{space}circle"))) == drawn
    [title] = [node.text for node in confusion if node.tag == f"{space}title"]
    assert title == "What each label was taken for by m & <n>"


def test_all_rows_of_a_table_are_as_long_as_its_head() -> None:
    given = posts(40, source="x" * 300, language="en")
    report = evaluate(
        given, "m", right(given), PLAN, [Entrant("n", "another", Answers(sentiments=np.eye(3)[[1] * 40]))]
    )
    found = list(tables(report))
    assert len(found) == 8
    for table in found:
        assert {len(row) for row in table.rows} == {len(table.columns)}
    assert max(map(len, text(report).splitlines())) < 200


def test_the_report_has_the_numbers_where_scripts_look_for_them() -> None:
    given = posts()
    report = json.loads(evaluate(given, "m", right(given), PLAN).model_dump_json())
    assert report["measures"]["intent"]["macro_f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert report["measures"]["urgent"]["precision_at_recall_90"]["value"] == 1.0
    assert report["measures"]["intent"]["labels"]["complaint"]["recall"]["value"] == 1.0
