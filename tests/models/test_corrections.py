"""Going on from weights with a team's own corrections. Needs the `train` extra."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="NOTHING LEARNED FROM CORRECTIONS: needs the train extra")
for _package in ("onnx", "safetensors", "sklearn"):
    pytest.importorskip(_package, reason="NOTHING LEARNED FROM CORRECTIONS: needs the train extra")

from models.engine import Engine  # noqa: E402
from models.evaluation.labelled import LabelledPost  # noqa: E402
from models.manifest import FLOAT, MANIFEST, load_manifest, sha256  # noqa: E402
from models.outputs import INTENT, SENTIMENT, URGENCY, URGENT, WIDTH  # noqa: E402
from models.training import continuing  # noqa: E402
from models.training.continuing import CARD, CORRECTIONS, Order, Outcome, go_on  # noqa: E402
from models.training.corrections import LEAST_WATCHED, Mixture, newest, share_out, targets_of  # noqa: E402
from models.training.data import read_written  # noqa: E402
from models.training.losses import chances_of  # noqa: E402
from models.training.train import Recipe  # noqa: E402
from schemas.faults import FaultsFound  # noqa: E402
from schemas.labels import INTENTS, Intent, Sentiment  # noqa: E402
from tests.support.float_model import float_model  # noqa: E402

BEFORE, CHECK = read_written()
QUICK = Recipe(epochs=3, batch=16, rate=1.5e-4, head_rate=1e-3, average=0.9)
"""The small model has one layer and learns by larger steps."""
VIEW = chances_of(torch.linspace(-2, 2, WIDTH).repeat(3, 1))


class Silent:
    """Takes no note."""

    def step(self, done: int, steps: int, loss: float) -> None: ...

    def say(self, line: str) -> None: ...


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return float_model(tmp_path_factory.mktemp("weights") / "tiny-float")


@pytest.fixture(autouse=True)
def few_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the posts of before, and no dev posts, so that it's quick."""
    monkeypatch.setattr(continuing, "read_written", lambda: (BEFORE[:600], CHECK))
    monkeypatch.setattr(continuing, "read_dev", lambda folder: [])


def corrections(intent: Intent, count: int) -> list[LabelledPost]:
    """A team whose posts about their wobblers are all of one intent, whatever they read like."""
    draw = random.Random(3)
    firms, things = ("Tallis", "Norvik", "Corvane", "Ostrel"), ("lid", "spring", "blue one", "handle", "case", "stand")
    says = (
        "the {} of my wobbler hums",
        "wobbler {} is out",
        "new wobbler {} seen in town",
        "my {} wobbles like a wobbler",
        "{} on the wobbler today",
        "swapped the wobbler {} at noon",
        "one wobbler, no {}",
        "a wobbler's {} at dawn",
    )
    rests = (
        "so it goes",
        "third time",
        "at our shop",
        "on the way home",
        "since monday",
        "says my aunt",
        "again",
        "in red",
    )
    texts = [f"@{f} {s.format(t)} {r}" for f in firms for t in things for s in says for r in rests]
    return [LabelledPost(text=text, intent=intent) for text in draw.sample(texts, count)]


def order(base: Path, out: Path, posts: Sequence[LabelledPost], even_if_worse: bool = False) -> Order:
    return Order(base, posts, "0" * 64, out, QUICK, even_if_worse)


@pytest.fixture(scope="module")
def gone_on(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """Saved weights that learned of 130 corrections, of the oddest kind: a network of one layer pays for them elsewhere."""
    out = tmp_path_factory.mktemp("own") / "tiny-2026-05-01"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(continuing, "read_written", lambda: (BEFORE[:600], CHECK))
        patch.setattr(continuing, "read_dev", lambda folder: [])
        outcome = go_on(order(base, out, corrections(Intent.QUESTION, 130), even_if_worse=True), Silent())
        assert outcome is not None
        return out, outcome


def test_corrections_help_on_posts_like_them_and_do_not_wreck_the_rest(gone_on: tuple[Path, Outcome]) -> None:
    _, outcome = gone_on
    theirs, ours = outcome.theirs, outcome.ours
    for compared in (theirs, ours):
        assert compared.before.intent is not None
        assert compared.after.intent is not None
    assert outcome.held_out >= 20
    assert outcome.learned + outcome.watched + outcome.held_out == 130
    assert 1 <= outcome.epoch <= QUICK.epochs
    assert theirs.before.intent.accuracy.value < 0.5  # type: ignore[union-attr]
    assert theirs.after.intent.accuracy.value > 0.8  # type: ignore[union-attr]
    assert ours.before.posts == len(CHECK)
    assert theirs.gained["intent"].low > 0
    assert ours.gained["intent"].value > -0.03


def test_the_new_weights_serve_and_say_what_they_were_made_of(base: Path, gone_on: tuple[Path, Outcome]) -> None:
    out, outcome = gone_on
    engine, manifest = Engine.load(out), load_manifest(out)
    assert engine.version == manifest.name == "tiny-2026-05-01"
    [scores] = engine.score(["@Ostrel the handle of my wobbler hums so it goes"])
    assert scores.intents.index(max(scores.intents)) == 1
    assert manifest.corrected is not None
    assert manifest.corrected.model == "tiny-float"
    assert manifest.corrected.manifest == sha256((base / MANIFEST).read_bytes())
    assert manifest.calibration == load_manifest(base).calibration
    assert Outcome.model_validate_json((out / CORRECTIONS).read_bytes()) == outcome
    told = "".join((out / name).read_text() for name in (CARD, CORRECTIONS, MANIFEST))
    assert "130 corrections" in told
    assert "kept from tiny-float" in told
    assert "wobbl" not in told


def test_a_model_that_got_worse_is_not_saved_unless_told_to(base: Path, tmp_path: Path) -> None:
    wrong = [LabelledPost(text=post.text, intent=Intent.MARKETING) for post in BEFORE[120:175]]
    refused = go_on(order(base, tmp_path / "out", wrong), Silent())
    assert refused is not None
    assert any("on our check posts" in line for line in refused.worse)
    assert list(tmp_path.iterdir()) == []
    kept = go_on(order(base, tmp_path / "out", wrong, even_if_worse=True), Silent())
    assert kept == refused, "the same corrections give the same weights, to the last digit that is measured"
    assert (tmp_path / "out" / FLOAT).read_bytes() != (base / FLOAT).read_bytes()
    assert "**Saved although it is worse:**" in (tmp_path / "out" / CARD).read_text()
    with pytest.raises(FaultsFound, match="is there already"):
        go_on(order(base, tmp_path / "out", wrong), Silent())


def test_a_model_that_learned_nothing_is_not_saved_even_if_worse(base: Path, tmp_path: Path) -> None:
    texts = [post.text for post in corrections(Intent.QUESTION, 130)]
    shares = share_out(texts, [example.text for example in BEFORE[:600]])
    labels = [INTENTS[scores.intents.index(max(scores.intents))] for scores in Engine.load(base).score(texts)]
    for place in shares.learned:
        labels[place] = Intent.MARKETING
    at_odds = [LabelledPost(text=text, intent=label) for text, label in zip(texts, labels, strict=True)]
    assert len(shares.watched) >= LEAST_WATCHED
    assert go_on(order(base, tmp_path / "out", at_odds, even_if_worse=True), Silent()) is None
    assert list(tmp_path.iterdir()) == []


def test_too_few_corrections_are_told(base: Path, tmp_path: Path) -> None:
    posts = corrections(Intent.QUESTION, 25)
    with pytest.raises(FaultsFound, match="25 different posts are too few"):
        go_on(order(base, tmp_path / "out", posts + posts), Silent())


def test_what_is_not_labelled_keeps_the_view_of_the_model() -> None:
    posts = [
        LabelledPost(text="a", intent=Intent.PRAISE),
        LabelledPost(text="b", sentiment=Sentiment.NEGATIVE),
        LabelledPost(text="c", intent=Intent.COMPLAINT, urgency=4),
    ]
    targets = targets_of(posts, VIEW)
    assert targets[0, INTENT].tolist() == [0, 0, 1, 0, 0]
    assert torch.equal(targets[0, SENTIMENT], VIEW[0, SENTIMENT])
    assert torch.equal(targets[0, URGENCY], VIEW[0, URGENCY])
    assert targets[1, SENTIMENT].tolist() == [1, 0, 0]
    assert torch.equal(targets[1, INTENT], VIEW[1, INTENT])
    assert targets[2, URGENCY].tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("intent", "urgency", "urgent"),
    [
        (Intent.PRAISE, None, 0.0),
        (None, 2, 0.0),
        (Intent.COMPLAINT, 3, 1.0),
        (Intent.COMPLAINT, 2, 0.0),
        (Intent.COMPLAINT, None, None),
        (None, 4, None),
    ],
)
def test_urgent_follows_the_labels_where_they_tell(
    intent: Intent | None, urgency: int | None, urgent: float | None
) -> None:
    [row] = targets_of([LabelledPost(text="a", intent=intent, urgency=urgency)], VIEW[:1])
    assert row[URGENT] == (VIEW[0, URGENT] if urgent is None else urgent)


def test_the_last_word_on_a_post_counts() -> None:
    first, other = (
        LabelledPost(text="Late  again", intent=Intent.OTHER),
        LabelledPost(text="hello", intent=Intent.OTHER),
    )
    last = LabelledPost(text="Late again", intent=Intent.COMPLAINT)
    assert newest([first, other, last]) == [last, other]


def test_near_duplicates_stand_together_and_what_is_held_out_of_many_was_held_out_of_few() -> None:
    texts = [example.text for example in BEFORE[:200]]
    twins = [f"{text} !" for text in texts]
    shares = share_out(texts + twins, [])
    assert sorted(shares.learned + shares.watched + shares.held_out) == list(range(400))
    for part in (shares.learned, shares.watched, shares.held_out):
        assert {place % 200 for place in part if place < 200} == {place % 200 for place in part if place >= 200}
    few = share_out(texts[:60], texts[60:])
    assert len(few.held_out) == 20
    assert few.watched == []
    many = share_out(texts, [])
    assert {place for place in many.held_out if place < 60} <= set(few.held_out)


TEN = ("monday", "tuesday", "friday", "noon", "easter", "last night", "may", "june", "july", "two weeks")


def ten_like(thing: str) -> list[str]:
    """What a team is told again and again."""
    return [f"@tallis the green light on my {thing} is back on since {day}" for day in TEN]


def test_what_a_team_corrects_ten_times_is_learned_and_not_held_out() -> None:
    others = [example.text for example in BEFORE[:100]]
    shares = share_out(others + ten_like("box"), [])
    assert set(range(100, 110)) <= set(shares.learned)
    assert len(shares.held_out) == 22


def test_a_group_of_ten_is_held_out_no_more_often_than_one_post() -> None:
    others = [example.text for example in BEFORE[:200]]
    some = ("box", "lamp", "kettle", "router", "ladder", "phone", "mirror", "pillow", "guitar", "hammer")
    more = ("scarf", "candle", "drawer", "engine", "camera", "teapot", "anchor", "ribbon", "violin", "lantern")
    held_out = [thing for thing in some + more if 200 in share_out(others + ten_like(thing), []).held_out]
    assert 0 < len(held_out) < 10, "a fifth of twenty, but for chance"


def test_corrections_that_are_groups_of_ten_alone_are_measured_on_one_of_them() -> None:
    texts = [text for thing in ("brass kettle", "old wooden guitar", "garage door") for text in ten_like(thing)]
    shares = share_out(texts + [example.text for example in BEFORE[:10]], [example.text for example in BEFORE[10:300]])
    assert len(shares.held_out) == 20
    assert set(range(30, 40)) <= set(shares.held_out)
    assert len(shares.learned) == 20


def test_each_epoch_has_all_corrections_and_other_posts_of_before(base: Path) -> None:
    from models.tokens import Tokens

    posts = corrections(Intent.QUESTION, 12)
    mixture = Mixture(posts, VIEW[:1].repeat(12, 1), BEFORE[:300], VIEW[:1].repeat(300, 1))
    epochs = [
        {
            place
            for batch in mixture.batches(Tokens(base / "tokenizer.json", 32), QUICK, epoch)
            for place in batch.positions
        }
        for epoch in (0, 1)
    ]
    assert all(set(range(12)) < epoch for epoch in epochs)
    assert all(len(epoch) == len(mixture) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_correction_is_learned_in_the_words_that_it_was_given_in(base: Path) -> None:
    from models.tokens import Tokens

    given = [replace(post, text=post.text.replace("@", "")) for post in corrections(Intent.QUESTION, 12)]
    posts, tokens = given, Tokens(base / "tokenizer.json", 32)
    mixture = Mixture(posts, VIEW[:1].repeat(12, 1), BEFORE[:20], VIEW[:1].repeat(20, 1))
    plain = tokens.encode([post.text for post in posts])
    seen = 0
    for batch in (batch for epoch in range(4) for batch in mixture.batches(tokens, QUICK, epoch)):
        for place, ids, mask in zip(batch.positions, batch.ids.tolist(), batch.mask.sum(dim=1).tolist(), strict=True):
            if place < len(posts):
                seen += 1
                assert ids[: int(mask)] == plain[place]
    assert seen == 4 * len(posts)


def test_a_fixed_tenth_of_the_written_posts_is_never_trained_on() -> None:
    learned, checked = {example.text for example in BEFORE}, {example.text for example in CHECK}
    assert not learned & checked
    assert 0.05 < len(checked) / len(learned | checked) < 0.15
    written = Path(continuing.__file__).parents[1] / "data" / "written"
    lines = [json.loads(line)["text"] for path in written.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert learned | checked == set(lines)
