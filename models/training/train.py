"""Fine-tunes the encoder: `python -m models.training.train --out FOLDER`. Run again, it resumes from its checkpoint.

The result is `FOLDER/network.pt` (a moving average of the weights), which `models.export` turns into what ships.
"""

import argparse
import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from models.tokens import Tokens
from models.training.batches import Batch, epoch_batches
from models.training.checkpoint import Progress, load_progress, save_network, save_progress
from models.training.data import Example, data_folder, load_parts
from models.training.losses import intent_weights, loss
from models.training.network import Network, base_folder, load_base
from models.training.predict import dev_report, predict


@dataclass(frozen=True, slots=True)
class Recipe:
    """The hyperparameters; the defaults are those of the shipped weights."""

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
    seed: int = 20


MAX_TOKENS = 128
SAVE_EVERY = 150


def parameter_groups(network: Network, recipe: Recipe) -> list[dict[str, object]]:
    """Learning rates fall layer by layer; norms and biases aren't decayed."""
    depth = len(network.layers)
    modules: list[tuple[nn.Module, float]] = [(network.heads, recipe.head_rate)]
    modules += [(layer, recipe.rate * recipe.layer_decay ** (depth - 1 - i)) for i, layer in enumerate(network.layers)]
    lowest = recipe.rate * recipe.layer_decay**depth
    modules += [(module, lowest) for module in (network.words, network.positions, network.norm)]
    groups: list[dict[str, object]] = []
    for module, rate in modules:
        matrices = [parameter for parameter in module.parameters() if parameter.dim() > 1]
        vectors = [parameter for parameter in module.parameters() if parameter.dim() == 1]
        groups.append({"params": matrices, "lr": rate, "peak": rate, "weight_decay": recipe.weight_decay})
        groups.append({"params": vectors, "lr": rate, "peak": rate, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def schedule(step: int, steps: int, recipe: Recipe) -> float:
    """Share of the peak rate at a step: linear up, then a half cosine down to nought."""
    warm = max(1, int(steps * recipe.warmup))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


class Trainer:
    """One run: the network, its average, the optimiser, and where it stands."""

    def __init__(self, network: Network, examples: Sequence[Example], recipe: Recipe, folder: Path) -> None:
        self.network, self.recipe, self.folder = network, recipe, folder
        self.average = copy.deepcopy(network).eval()
        self.weights = intent_weights(examples)
        self.steps = recipe.epochs * math.ceil(len(examples) / recipe.batch)
        self.optimiser = torch.optim.AdamW(parameter_groups(network, recipe), betas=(0.9, 0.98), fused=True)
        self.progress = Progress(epoch=0, batch=0, step=0)

    def resume(self) -> None:
        """Takes up the folder's checkpoint, where there is one."""
        found = load_progress(self.folder, self.network, self.average, self.optimiser)
        if found is not None:
            self.progress = found
            print(f"resuming at step {found.step} of {self.steps}", flush=True)

    def run_epoch(self, batches: Sequence[Batch]) -> None:
        """The rest of the epoch that the progress points into."""
        self.network.train()
        started, first = time.monotonic(), self.progress.batch
        running = 0.0
        for index in range(first, len(batches)):
            running = 0.95 * running + 0.05 * self._step(batches[index])
            self.progress = Progress(self.progress.epoch, index + 1, self.progress.step + 1)
            if self.progress.step % 50 == 0:
                pace = (time.monotonic() - started) / (index + 1 - first)
                print(f"step {self.progress.step}/{self.steps} loss {running:.3f} {pace:.2f} s/step", flush=True)
            if self.progress.step % SAVE_EVERY == 0:
                save_progress(self.folder, self.network, self.average, self.optimiser, self.progress)
        self.progress = Progress(self.progress.epoch + 1, 0, self.progress.step)
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

    def objective(self, logits: Tensor, batch: Batch) -> Tensor:
        return loss(logits, batch, self.weights)

    def _move_average(self) -> None:
        decay = min(self.recipe.average, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)


def fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware; elsewhere it's several times slower than float32."""
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii") if Path("/proc/cpuinfo").exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    arguments = parser.parse_args()
    recipe = Recipe(epochs=arguments.epochs, seed=arguments.seed)
    torch.manual_seed(recipe.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts = load_parts(data_folder())
    tokens = Tokens(base_folder() / "tokenizer.json", MAX_TOKENS)
    trainer = Trainer(load_base(), parts.train, recipe, arguments.out)
    trainer.resume()
    print(f"{len(parts.train)} posts, {trainer.steps} steps, bfloat16 {fast_bfloat16()}", flush=True)
    while trainer.progress.epoch < recipe.epochs:
        trainer.run_epoch(epoch_batches(parts.train, tokens, recipe.batch, recipe.seed, trainer.progress.epoch))
        save_network(arguments.out / "network.pt", trainer.average)
        report = dev_report(parts.dev, predict(trainer.average, parts.dev, tokens))
        print(f"epoch {trainer.progress.epoch}: {report}", flush=True)


if __name__ == "__main__":
    main()
