"""Training and export on a small random network. Needs the `train` extra."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")
pytest.importorskip("safetensors", reason="needs the train extra")

from models.export import float32_graph, write_networks  # noqa: E402
from models.manifest import NETWORK, load_manifest, sha256  # noqa: E402
from models.outputs import INTENT, SENTIMENT, URGENT  # noqa: E402
from models.session import Session  # noqa: E402
from models.tokens import Tokens  # noqa: E402
from models.training import train as training  # noqa: E402
from models.training.augment import Change, augment, hide_handles  # noqa: E402
from models.training.bases import E5, MINILM  # noqa: E402
from models.training.batches import WRITTEN_KIND_SHARE, epoch_batches, in_turn, pad  # noqa: E402
from models.training.checkpoint import Run, load_network, load_run, save_network, save_run  # noqa: E402
from models.training.data import Example, Parts  # noqa: E402
from models.training.listener import Lines  # noqa: E402
from models.training.losses import loss, ranked_probability, soft_loss  # noqa: E402
from models.training.network import Network, Shape  # noqa: E402
from models.training.packed import load_packed  # noqa: E402
from models.training.predict import predict  # noqa: E402
from models.training.train import Plan, Recipe, Trainer, labels_objective, run_training, schedule, taught  # noqa: E402
from models.training.trained import Trained  # noqa: E402
from schemas.faults import FaultsFound  # noqa: E402
from tests.support.float_model import float_model  # noqa: E402

TOKENIZER = Path(__file__).parent / "tiny-2" / "tokenizer.json"
SHAPE = Shape(vocabulary=40_000, positions=32, width=32, layers=2, heads=4, inner=64)
RECIPE = Recipe(epochs=2, batch=4)
IDS = [[1, 7, 9, 2], [1, 4, 2], [1, 30, 31, 32, 33, 34, 2]]


def network(shape: Shape = SHAPE) -> Network:
    torch.manual_seed(3)
    made = Network(shape)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def examples() -> list[Example]:
    return [
        Example(str(number), "s", f"late again {number} @Tallis", number % 5, number % 3, number % 5, number % 2 == 0)
        for number in range(40)
    ]


@pytest.mark.parametrize(("int8", "tolerance"), [(False, 1e-3), (True, 0.35)])
@pytest.mark.parametrize(
    "shape",
    [SHAPE, replace(SHAPE, epsilon=1e-5, distances=8), replace(SHAPE, one_query=True)],
    ids=["bert", "mpnet", "one query"],
)
def test_the_graph_computes_what_the_network_does(tmp_path: Path, shape: Shape, int8: bool, tolerance: float) -> None:
    made = network(shape).eval()
    path = tmp_path / NETWORK
    if int8:
        write_networks(tmp_path, made, examples(), Tokens(TOKENIZER, 16), seed=3)
    else:
        path.write_bytes(float32_graph(made))
    ids, mask = pad(IDS)
    with torch.no_grad():
        expected = made(ids, mask).numpy()
    given = Session(path, threads=1, token_budget=64).run(IDS)
    assert np.abs(given - expected).max() < tolerance * np.abs(expected).max()


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    tokens = Tokens(TOKENIZER, 16)

    def run(folder: Path, stop_after: int) -> Trainer:
        folder.mkdir(exist_ok=True)
        torch.manual_seed(5)
        trainer = Trainer(network(), len(examples()), labels_objective(examples()), RECIPE, folder)
        trainer.resume()
        while trainer.progress.epoch < stop_after:
            trainer.run_epoch(epoch_batches(examples(), tokens, RECIPE.batch, RECIPE.seed, trainer.progress.epoch))
        return trainer

    whole = run(tmp_path / "whole", 2)
    run(tmp_path / "halves", 1)
    halves = run(tmp_path / "halves", 2)
    assert halves.progress == whole.progress
    for ours, theirs in zip(halves.average.parameters(), whole.average.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(halves.average.heads.weight, network().heads.weight)


def test_of_the_weights_that_training_began_with_a_share_stays(tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=1, kept=0.4)
    trainer = Trainer(network(), len(examples()), labels_objective(examples()), recipe, tmp_path)
    trainer.run_epoch(epoch_batches(examples(), Tokens(TOKENIZER, 16), recipe.batch, recipe.seed, 0))
    saved = load_network(tmp_path / "network.pt").heads.weight
    before, learned = network().heads.weight, trainer.average.heads.weight
    assert (learned - before).abs().max() > 1e-4
    assert torch.allclose(saved, 0.4 * before + 0.6 * learned, atol=1e-6)


def test_a_saved_network_comes_back_without_dropout(tmp_path: Path) -> None:
    saved = network()
    save_network(tmp_path / "network.pt", saved)
    loaded = load_network(tmp_path / "network.pt")
    assert not loaded.training
    ids, mask = pad(IDS)
    with torch.no_grad():
        assert torch.equal(loaded(ids, mask), saved.eval()(ids, mask))


@pytest.mark.parametrize("one_query", [False, True])
def test_padding_changes_nothing(one_query: bool) -> None:
    made = network(replace(SHAPE, one_query=one_query)).eval()
    with torch.no_grad():
        alone = made(*pad(IDS[1:2]))
        padded = made(*pad(IDS))[1:2]
    assert torch.allclose(alone, padded, atol=1e-4)


def test_every_example_is_in_one_batch_of_an_epoch_and_epochs_differ() -> None:
    tokens = Tokens(TOKENIZER, 16)
    first, second = (epoch_batches(examples(), tokens, 4, 1, epoch) for epoch in (0, 1))
    assert sorted(position for batch in first for position in batch.positions) == list(range(40))
    assert [batch.positions for batch in first] != [batch.positions for batch in second]


def test_the_ranked_score_grows_with_the_distance() -> None:
    sure_of_nought = torch.tensor([[9.0, 0.0, 0.0, 0.0, 0.0]] * 3)
    near, far, right = ranked_probability(sure_of_nought, torch.tensor([1, 4, 0])).tolist()
    assert right < 0.01 < near < far


def test_the_rate_rises_and_then_falls_to_nought() -> None:
    shares = [schedule(step, 100, RECIPE) for step in range(101)]
    assert max(shares) == 1.0
    assert shares[0] < 0.2
    assert math.isclose(shares[100], 0.0, abs_tol=1e-9)


def test_posts_in_english_take_turns_and_all_others_are_in_each_epoch() -> None:
    posts = [replace(post, language="de" if number % 4 == 0 else "en") for number, post in enumerate(examples())]
    first, second, fourth = (in_turn(posts, epoch, 3) for epoch in (0, 1, 3))
    german = set(range(0, 40, 4))
    assert len(first) == len(second) == 20
    assert set(first) & set(second) == german
    assert first == fourth
    assert in_turn(posts, 5, 1) == list(range(40))
    batches = epoch_batches(posts, Tokens(TOKENIZER, 16), 4, 1, 0, first)
    assert sorted(position for batch in batches for position in batch.positions) == first


def test_a_post_that_was_written_tells_less_of_intent_and_as_much_of_urgency() -> None:
    real, written, german = (
        [replace(post, source=source, language=language, sure=True) for post in examples()]
        for source, language in (("nlupp", "en"), ("written", "en"), ("written", "de"))
    )
    posts = [real[0], written[1], german[2]]
    [batch] = epoch_batches(posts, Tokens(TOKENIZER, 16), 3, 1, 0)
    by_post = sorted(zip(batch.positions, batch.weights.tolist(), batch.kind_weights.tolist(), strict=True))
    assert by_post == [(0, 1.0, 1.0), (1, 1.0, pytest.approx(WRITTEN_KIND_SHARE)), (2, 1.0, 1.0)]

    logits = torch.zeros(3, 14, requires_grad=True)
    loss(logits, batch, torch.ones(5)).backward()
    assert logits.grad is not None
    pulls = logits.grad[[batch.positions.index(position) for position in range(3)]].abs()
    assert pulls[1, INTENT].sum() == pytest.approx(WRITTEN_KIND_SHARE * pulls[0, INTENT].sum())
    assert pulls[1, SENTIMENT].sum() == pytest.approx(WRITTEN_KIND_SHARE * pulls[0, SENTIMENT].sum())
    assert pulls[:, URGENT].tolist() == pytest.approx([pulls[0, URGENT].item()] * 3)


@pytest.mark.parametrize("kind", ["weights", "run"])
def test_a_teacher_may_be_a_folder_of_weights_or_a_finished_run(tmp_path: Path, kind: str) -> None:
    weights = float_model(tmp_path / "small-1")
    folder = weights if kind == "weights" else tmp_path / "run"
    expected = load_packed(weights, load_manifest(weights)).network
    if kind == "run":
        folder.mkdir()
        save_network(folder / "network.pt", expected)
        save_run(folder, Run("pretrained 12ab", 20, 2, 40, {}))
        (folder / "tokenizer.json").write_bytes((weights / "tokenizer.json").read_bytes())
    teacher = Trained(folder)
    said = taught(tmp_path, [teacher], examples())
    alone = torch.from_numpy(predict(expected, examples(), Tokens(weights / "tokenizer.json", 128)))
    assert torch.allclose(said, alone, atol=0.2)  # bfloat16, where the processor is quick with it
    assert teacher.file.is_file()
    assert teacher.name.split()[0] == folder.name
    assert teacher.faults("--teacher") == []
    assert not teacher.is_corrected
    assert teacher.base == ("pretrained 12ab" if kind == "run" else load_manifest(weights).base)


def test_weights_go_on_from_others_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = float_model(tmp_path / "small-1")
    monkeypatch.setattr(training, "load_parts", lambda *_: Parts(examples(), examples(), [], []))
    monkeypatch.setattr(training, "file_hashes", lambda *_: {})
    plan = Plan(MINILM, start=Trained(weights), epochs=1)
    run_training(tmp_path / "run", plan, Lines(write=lambda _: None))
    run = load_run(tmp_path / "run")
    digest = sha256((weights / "manifest.json").read_bytes())
    assert (run.base, run.went_on_from) == (load_manifest(weights).base, f"small-1 {digest}")
    before = load_packed(weights, load_manifest(weights)).network.state_dict()
    after = load_network(tmp_path / "run" / "network.pt").state_dict()
    assert 0 < (before["heads.weight"] - after["heads.weight"]).abs().max() < 0.1

    with pytest.raises(FaultsFound, match=r"small-1: was trained on the sources whose terms are unclear"):
        run_training(tmp_path / "clear", replace(plan, clear=True), Lines(write=lambda _: None))
    with pytest.raises(FaultsFound, match=r"small-1: was trained from .*, and not from --base e5"):
        run_training(tmp_path / "many", replace(plan, base=E5), Lines(write=lambda _: None))


def test_no_english_is_added_to_posts_in_other_languages_nor_anything_to_corrections() -> None:
    tokens = Tokens(TOKENIZER, 32)
    german = [replace(post, text=f"wieder zu spat {post.id}", language="de") for post in examples()]
    english = [replace(post, language="en") for post in german]

    def shown(posts: list[Example], change: Change = augment) -> set[tuple[int, ...]]:
        batches = (batch for epoch in range(4) for batch in epoch_batches(posts, tokens, 4, 1, epoch, change=change))
        rows = (zip(batch.ids.tolist(), batch.mask.sum(dim=1).tolist(), strict=True) for batch in batches)
        return {tuple(ids[: int(length)]) for row in rows for ids, length in row}

    plain = {tuple(ids) for ids in tokens.encode([post.text for post in german])}
    assert shown(german) == plain
    assert shown(english, change=hide_handles) == plain
    assert len(shown(english)) > len(plain)


def test_a_post_that_the_teacher_could_not_read_adds_nothing_to_the_distance() -> None:
    logits, teacher = torch.randn(4, 14, requires_grad=True), torch.randn(4, 14)
    unread = teacher.clone()
    unread[2:] = torch.nan
    assert soft_loss(logits, unread).item() == pytest.approx(soft_loss(logits[:2], teacher[:2]).item() / 2)
    soft_loss(logits, torch.full((4, 14), torch.nan)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()
