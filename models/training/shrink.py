"""A small student of a trained network: `python -m models.training.shrink --teacher RUN --out FOLDER`.

It keeps the lowest layers and the word pieces that occur in the training posts, and learns the teacher's probabilities
beside the labels. The result is `FOLDER/network.pt` and `FOLDER/tokenizer.json`, for `models.export`.
"""

import argparse
import json
from pathlib import Path

import torch

from models.tokens import Tokens
from models.training.checkpoint import Run, load_network, load_run, save_run
from models.training.data import data_folder, file_hashes, load_parts
from models.training.train import MAX_TOKENS, Recipe, Trainer, labels_objective, taught, train
from models.training.vocabulary import trimmed_tokenizer, with_pieces, word_pieces

RECIPE = Recipe(epochs=4, rate=4e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(RECIPE.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    teacher, run = load_network(arguments.teacher / "network.pt"), load_run(arguments.teacher)
    parts = load_parts(data_folder(), run.clear)
    full = Tokens(arguments.teacher / "tokenizer.json", MAX_TOKENS)
    content = json.loads((arguments.teacher / "tokenizer.json").read_text(encoding="utf-8"))
    kept = word_pieces([example.text for example in parts.train], full, content)
    tokenizer = arguments.out / "tokenizer.json"
    tokenizer.write_text(json.dumps(trimmed_tokenizer(content, kept), ensure_ascii=False), encoding="utf-8")

    hashes = file_hashes(data_folder(), run.clear)
    save_run(arguments.out, Run(run.base, RECIPE.seed, RECIPE.epochs, len(parts.train), hashes, run.clear))
    student = with_pieces(teacher, kept, arguments.layers)
    logits = taught(arguments.out, [arguments.teacher], parts.train)
    trainer = Trainer(student, len(parts.train), labels_objective(parts.train, logits), RECIPE, arguments.out)
    trainer.resume()
    print(f"{len(kept)} word pieces, {trainer.steps} steps", flush=True)
    train(trainer, Tokens(tokenizer, MAX_TOKENS), parts)


if __name__ == "__main__":
    main()
