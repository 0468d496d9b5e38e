"""Fine-tunes an encoder: `python -m models.training.train --out FOLDER`. Run again, it resumes from its checkpoint.

With `--model FOLDER` it goes on from a finished run or from weights instead.
The result is `FOLDER/network.pt` (a moving average of the weights) and `FOLDER/tokenizer.json`, which `models.export` turns
into what ships. `--base mpnet` trains the teacher, `--teacher FOLDER` a student that learns its probabilities too.
"""

import argparse
import copy
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.tokens import Tokens
from models.training.bases import BASES, Base
from models.training.batches import Batch, epoch_batches, in_turn
from models.training.checkpoint import (
    NETWORK,
    Progress,
    Run,
    load_progress,
    save_array,
    save_network,
    save_progress,
    save_run,
    save_text,
)
from models.training.data import ENGLISH, Example, Parts, data_folder, file_hashes, load_parts, split_hashes
from models.training.listener import Lines, Listener
from models.training.losses import intent_weights, loss, soft_loss
from models.training.network import Network, Shape
from models.training.predict import dev_report, fast_bfloat16, predict
from models.training.trained import Trained
from models.training.vocabulary import trimmed
from schemas.faults import Fault, FaultsFound


@dataclass(frozen=True, slots=True)
class Recipe:
    """The hyperparameters; `RECIPES` and `going_on` have those of the shipped weights."""

    epochs: int = 5
    batch: int = 32
    rate: float = 1.2e-4
    """Peak learning rate of the topmost layer."""
    layer_decay: float = 0.9
    """Each layer below learns this much slower than the one above."""
    head_rate: float = 1e-3
    warmup: float = 0.06
    weight_decay: float = 0.01
    average: float = 0.998
    """Decay per step of the moving average of the weights."""
    clip: float = 1.0
    kept: float = 0.0
    """Share of the weights that it began with in the weights that it ends with (Wortsman et al. 2022): what they knew stays."""
    frozen: int = 0
    """Lowest layers that stay as they are, and the embeddings with them."""
    english_turns: int = 1
    """An epoch has one in so many of the posts in English, the next epoch others; those in other languages are in all."""
    seed: int = 20


RECIPES = {
    "minilm": Recipe(epochs=8),
    "mpnet": Recipe(epochs=2, batch=64, rate=8e-5, frozen=4, average=0.995),
    "e5": Recipe(epochs=3, english_turns=3),
}
"""By base. The teacher's lowest third hardly moves at rates that fall layer by layer, and costs a third of each step."""

MAX_TOKENS = 128
SAVE_EVERY = 150


def going_on(recipe: Recipe) -> Recipe:
    """That of weights that go on: the encoder knows the task already."""
    return replace(recipe, epochs=5, rate=8e-5, head_rate=4e-4, kept=0.3)


def parameter_groups(network: Network, recipe: Recipe) -> list[dict[str, object]]:
    """Learning rates fall layer by layer; norms and biases aren't decayed."""
    depth = len(network.layers)
    modules: list[tuple[nn.Module, float]] = [(network.heads, recipe.head_rate)]
    modules += [(layer, recipe.rate * recipe.layer_decay ** (depth - 1 - i)) for i, layer in enumerate(network.layers)]
    lowest = recipe.rate * recipe.layer_decay**depth
    modules += [(module, lowest) for module in network.embeddings()]
    groups: list[dict[str, object]] = []
    for module, rate in modules:
        learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
        matrices = [parameter for parameter in learning if parameter.dim() > 1]
        vectors = [parameter for parameter in learning if parameter.dim() == 1]
        groups.append({"params": matrices, "lr": rate, "peak": rate, "weight_decay": recipe.weight_decay})
        groups.append({"params": vectors, "lr": rate, "peak": rate, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def freeze(network: Network, layers: int) -> None:
    """Stops the embeddings and the lowest layers from learning; nothing where `layers` is 0."""
    for module in [*network.embeddings(), *network.layers[:layers]] if layers else []:
        module.requires_grad_(requires_grad=False)


def schedule(step: int, steps: int, recipe: Recipe) -> float:
    """Share of the peak rate at a step: linear up, then a half cosine down to nought."""
    warm = max(1, int(steps * recipe.warmup))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


Objective = Callable[[Tensor, Batch], Tensor]
"""Logits (posts, WIDTH) in float32 of a batch to what is minimised."""


def labels_objective(examples: Sequence[Example], teacher: Tensor | None = None) -> Objective:
    """The loss of the labels; with a teacher's logits of the examples, (examples, WIDTH), the distance to its probabilities
    besides, where it said anything: rows of NaN count nothing."""
    weights = intent_weights(examples)

    def objective(logits: Tensor, batch: Batch) -> Tensor:
        labels = loss(logits, batch, weights)
        return labels if teacher is None else labels + soft_loss(logits, teacher[list(batch.positions)])

    return objective


class Trainer:
    """One run: the network, its average, the optimiser, and where it stands. Without a folder it leaves no checkpoints."""

    def __init__(
        self,
        network: Network,
        posts: int,
        objective: Objective,
        recipe: Recipe,
        folder: Path | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.network, self.objective, self.recipe, self.folder = network, objective, recipe, folder
        self.listener = listener or Lines()
        freeze(network, recipe.frozen)
        self.average: Network = copy.deepcopy(network).eval()
        self._begun: Network | None = copy.deepcopy(network).eval() if recipe.kept else None
        self.steps = recipe.epochs * math.ceil(posts / recipe.batch)
        self.optimiser = torch.optim.AdamW(parameter_groups(network, recipe), betas=(0.9, 0.98), fused=True)
        self.progress = Progress(epoch=0, batch=0, step=0)
        self._loss: float | None = None

    @property
    def result(self) -> Network:
        """What has been learned so far, in `.eval()`: the average, and what the recipe keeps of the network as it began."""
        if self._begun is None:
            return self.average
        result: Network = copy.deepcopy(self.average)
        with torch.no_grad():
            for value, before in zip(result.parameters(), self._begun.parameters(), strict=True):
                value.lerp_(before, self.recipe.kept)
        return result

    def resume(self) -> None:
        """Takes up the folder's checkpoint, where there is one."""
        found = self.folder and load_progress(self.folder, self.network, self.average, self.optimiser)
        if found:
            self.progress = found
            self.listener.say(f"resuming at step {found.step} of {self.steps}")

    def run_epoch(self, batches: Sequence[Batch]) -> None:
        """The rest of the epoch that the progress points into."""
        self.network.train()
        for index in range(self.progress.batch, len(batches)):
            value = self._step(batches[index])
            self._loss = value if self._loss is None else 0.95 * self._loss + 0.05 * value
            self.progress = Progress(self.progress.epoch, index + 1, self.progress.step + 1)
            self.listener.step(self.progress.step, self.steps, self._loss)
            if self.progress.step % SAVE_EVERY == 0:
                self._save()
        self.progress = Progress(self.progress.epoch + 1, 0, self.progress.step)
        if self.folder is not None:
            # First, so that no checkpoint says that an epoch is done whose network isn't there.
            save_network(self.folder / NETWORK, self.result)
        self._save()

    def _save(self) -> None:
        if self.folder is not None:
            save_progress(self.folder, self.network, self.average, self.optimiser, self.progress)

    def _step(self, batch: Batch) -> float:
        share = schedule(self.progress.step, self.steps, self.recipe)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * share
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
            logits = self.network(batch.ids, batch.mask)
        value = self.objective(logits.float(), batch)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self._move_average()
        return float(value.detach())

    def _move_average(self) -> None:
        decay = min(self.recipe.average, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                if value.requires_grad:
                    mean.lerp_(value, 1 - decay)


def taught(folder: Path, teachers: Sequence[Trained], examples: Sequence[Example]) -> Tensor:
    """The mean of the teachers' logits of the examples, NaN of those in other languages than English, which no teacher reads.
    What each said is kept in `folder`, so that a run that is taken up again needn't wait."""
    readable = [position for position, example in enumerate(examples) if example.language == ENGLISH]
    said = []
    for number, teacher in enumerate(teachers, start=1):
        path = folder / f"teacher-{number}.npy"
        if not path.exists():
            read = [examples[position] for position in readable]
            save_array(path, predict(teacher.network(), read, teacher.tokens(MAX_TOKENS), rough=True))
        said.append(torch.from_numpy(np.load(path)))
    means = torch.stack(said).mean(dim=0)
    logits = torch.full((len(examples), means.shape[1]), torch.nan)
    logits[readable] = means
    return logits


def train(trainer: Trainer, tokens: Tokens, parts: Parts) -> None:
    """All epochs that are left, each with a line on the dev posts; the network is saved after each."""
    recipe = trainer.recipe
    assert trainer.folder is not None, "the network is saved there"
    while trainer.progress.epoch < recipe.epochs:
        epoch = trainer.progress.epoch
        turn = in_turn(parts.train, epoch, recipe.english_turns)
        trainer.run_epoch(epoch_batches(parts.train, tokens, recipe.batch, recipe.seed, epoch, turn))
        report = dev_report(parts.dev, predict(trainer.result, parts.dev, tokens))
        trainer.listener.say(f"epoch {trainer.progress.epoch}: {report}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be made of."""

    base: Base
    """The pretrained encoder, or that which `start` was trained from."""
    start: Trained | None = None
    """What to go on from; None: the pretrained encoder."""
    teachers: tuple[Trained, ...] = ()
    clear: bool = False
    """Leave out the sources whose terms are unclear."""
    epochs: int | None = None
    """None: the recipe's."""
    seed: int = Recipe().seed

    @property
    def trained_before(self) -> list[tuple[str, Trained]]:
        """What it starts from and its teachers, each with the option that names it."""
        start = [] if self.start is None else [("--model", self.start)]
        return start + [("--teacher", one) for one in self.teachers]

    @property
    def recipe(self) -> Recipe:
        """The base's, or that of going on, with what differs."""
        recipe = replace(RECIPES.get(self.base.name, Recipe()), seed=self.seed)
        recipe = recipe if self.start is None else going_on(recipe)
        return replace(recipe, epochs=self.epochs or recipe.epochs)


@dataclass(frozen=True, slots=True)
class Start:
    """What a run begins with."""

    network: Network
    tokenizer: bytes
    parts: Parts
    run: Run
    """What it is of; told apart by this."""


def prepare(plan: Plan) -> Start:
    """Encoder and posts, checked. Raises as `run_training` does."""
    _check(plan)
    base, recipe = plan.base, plan.recipe
    torch.manual_seed(recipe.seed)
    begun = base if plan.start is None else plan.start
    network, tokenizer = begun.network(), begun.tokenizer()
    parts = load_parts(data_folder(), plan.clear, base.multilingual)
    hashes = file_hashes(data_folder(), plan.clear, base.multilingual)
    if base.multilingual and plan.start is None:
        network, tokenizer = trimmed(network, tokenizer, [example.text for example in parts.train])
    made_by = made_by_hash(recipe, network.shape, tokenizer, [one for _, one in plan.trained_before])
    run = Run(
        base=base.origin if plan.start is None else plan.start.base,
        seed=recipe.seed,
        epochs=recipe.epochs,
        posts=len(parts.train),
        data=hashes,
        clear=plan.clear,
        multilingual=base.multilingual,
        made_by=made_by,
        went_on_from="" if plan.start is None else plan.start.name,
    )
    return Start(network, tokenizer, parts, run)


def run_training(folder: Path, plan: Plan, listener: Listener) -> None:
    """Trains to the end in `folder`, from its checkpoint where there is one: `network.pt`, for `models.export`.

    The same plan on the same data gives the same weights, however often it was interrupted.

    Raises:
        ModuleNotFoundError: the pretrained encoder is not installed.
        FaultsFound: the encoder or a file of data is not the one expected, the folder holds another run, or a teacher or
            what it is to go on from can't be used for this.
        OSError: a file of data can't be read.
    """
    recipe = plan.recipe
    start = prepare(plan)
    parts = start.parts
    folder.mkdir(parents=True, exist_ok=True)
    save_run(folder, start.run)
    save_text(folder / "tokenizer.json", start.tokenizer.decode())
    teacher = None
    if plan.teachers:
        readers = "the teacher reads" if len(plan.teachers) == 1 else f"{len(plan.teachers)} teachers read"
        listener.say(f"{readers} {len(parts.train):,} posts")
        teacher = taught(folder, plan.teachers, parts.train)
    torch.manual_seed(
        recipe.seed
    )  # the teacher may have used some of its randomness, or not if it had read them before
    posts = len(in_turn(parts.train, 0, recipe.english_turns))
    trainer = Trainer(start.network, posts, labels_objective(parts.train, teacher), recipe, folder, listener)
    trainer.resume()
    listener.say(f"{posts:,} posts an epoch, {trainer.steps:,} steps, bfloat16 {fast_bfloat16()}")
    train(trainer, Tokens(folder / "tokenizer.json", MAX_TOKENS), parts)


def _check(plan: Plan) -> None:
    """Raises FaultsFound where what was trained before doesn't go with the plan."""
    before = [(f"{option} {one.folder}", one) for option, one in plan.trained_before]
    if faults := [fault for place, one in before for fault in one.faults(place)]:
        raise FaultsFound(faults)
    if unclear := [place for place, one in before if plan.clear and not one.is_clear]:
        what = "was trained on the sources whose terms are unclear"
        raise FaultsFound([Fault(place, what, "train one without them, with --clear") for place in unclear])
    if plan.start is not None and plan.start.base.split()[-1] != plan.base.sha256:
        what = f"was trained from {plan.start.base.split()[0]}, and not from --base {plan.base.name}"
        raise FaultsFound([Fault(f"--model {plan.start.folder}", what, "give the --base that it was trained from")])
    if plan.start is not None and plan.start.is_corrected:
        what = "learned from a team's own corrections, which nothing would tell of"
        raise FaultsFound([Fault(f"--model {plan.start.folder}", what, "go on from the weights that it was made of")])


def made_by_hash(recipe: Recipe, shape: Shape, tokenizer: bytes, before: Sequence[Trained]) -> str:
    """What tells runs apart that are of the same data."""
    told = [repr(recipe), repr(shape), hashlib.sha256(tokenizer).hexdigest(), *split_hashes()]
    for one in before:
        with one.file.open("rb") as file:
            told.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", choices=sorted(BASES), default="minilm")
    parser.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        help="folder of a run or of weights to learn from; repeatable",
    )
    parser.add_argument("--model", type=Path, help="folder of a run or of weights to go on from; default: the encoder")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    parser.add_argument("--clear", action="store_true", help="leave out the sources whose terms are unclear")
    arguments = parser.parse_args()
    plan = Plan(
        BASES[arguments.base],
        start=None if arguments.model is None else Trained(arguments.model),
        teachers=tuple(map(Trained, arguments.teacher)),
        clear=arguments.clear,
        epochs=arguments.epochs,
        seed=arguments.seed,
    )
    run_training(arguments.out, plan, Lines())


if __name__ == "__main__":
    main()
