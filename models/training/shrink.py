"""A small student of a trained network: `python -m models.training.shrink --teacher RUN --out FOLDER`.

It keeps the lowest layers, the highest of them with one query where the teacher's has one, and the word pieces that occur in
the training posts, and learns the teacher's probabilities beside the labels. The result is `FOLDER/network.pt` and
`FOLDER/tokenizer.json`, for `models.export`.
"""

import argparse
import json
from pathlib import Path

import torch

from models.tokens import Tokens
from models.training.checkpoint import NETWORK, Run, load_network, load_run, save_run, save_text
from models.training.data import data_folder, file_hashes, load_parts
from models.training.train import MAX_TOKENS, Recipe, Trainer, labels_objective, made_by_hash, taught, train
from models.training.trained import Trained
from models.training.vocabulary import trimmed_tokenizer, with_pieces, word_pieces

RECIPE = Recipe(epochs=4, rate=4e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    teacher, run = load_network(arguments.teacher / NETWORK), load_run(arguments.teacher)
    if run.multilingual:
        raise SystemExit(f"{arguments.teacher} reads several languages; this makes students in English alone")
    parts = load_parts(data_folder(), run.clear)
    full = Tokens(arguments.teacher / "tokenizer.json", MAX_TOKENS)
    content = json.loads((arguments.teacher / "tokenizer.json").read_text(encoding="utf-8"))
    kept = word_pieces([example.text for example in parts.train], full, content)
    tokenizer = json.dumps(trimmed_tokenizer(content, kept), ensure_ascii=False)
    student = with_pieces(teacher, kept, arguments.layers)
    hashes = file_hashes(data_folder(), run.clear)
    made_by = made_by_hash(RECIPE, student.shape, tokenizer.encode(), [Trained(arguments.teacher)])
    posts = len(parts.train)
    save_run(arguments.out, Run(run.base, RECIPE.seed, RECIPE.epochs, posts, hashes, run.clear, made_by=made_by))
    save_text(arguments.out / "tokenizer.json", tokenizer)
    logits = taught(arguments.out, [Trained(arguments.teacher)], parts.train)
    torch.manual_seed(RECIPE.seed)
    trainer = Trainer(student, len(parts.train), labels_objective(parts.train, logits), RECIPE, arguments.out)
    trainer.resume()
    print(f"{len(kept)} word pieces, {trainer.steps} steps", flush=True)
    train(trainer, Tokens(arguments.out / "tokenizer.json", MAX_TOKENS), parts)


if __name__ == "__main__":
    main()
