"""A small student of a trained network: `python -m models.training.shrink --teacher RUN --out FOLDER`.

It keeps the lowest layers and the word pieces that occur in the training posts, and learns the teacher's probabilities
beside the labels. The result is `FOLDER/network.pt` and `FOLDER/tokenizer.json`, for `models.export`.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.tokens import Tokens
from models.training.checkpoint import Run, load_network, load_run, save_run
from models.training.data import data_folder, file_hashes, load_parts
from models.training.network import Network
from models.training.train import MAX_TOKENS, Recipe, Trainer, labels_objective, taught, train

RECIPE = Recipe(epochs=4, rate=4e-4)
RARE = 2
"""A word piece is kept when it occurs this often in the training posts, or is a single character."""


def kept_pieces(texts: Sequence[str], tokens: Tokens, vocabulary: dict[str, int], special: set[str]) -> list[str]:
    """The pieces to keep, in the order of their old ids."""
    counts = Counter(piece for ids in tokens.encode(texts) for piece in ids)
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    return [
        piece
        for piece in pieces
        if piece in special or len(piece.removeprefix("##")) == 1 or counts[vocabulary[piece]] >= RARE
    ]


def trimmed_tokenizer(content: dict[str, Any], pieces: Sequence[str]) -> dict[str, Any]:
    """The tokenizer file's content with these pieces alone, numbered in their order."""
    ids = {piece: index for index, piece in enumerate(pieces)}
    trimmed: dict[str, Any] = json.loads(json.dumps(content))
    trimmed["model"]["vocab"] = ids
    for token in trimmed["added_tokens"]:
        token["id"] = ids[token["content"]]
    for token in trimmed["post_processor"]["special_tokens"].values():
        token["ids"] = [ids[piece] for piece in token["tokens"]]
    return trimmed


def student_of(teacher: Network, layers: int, rows: Sequence[int]) -> Network:
    """The teacher's lowest layers and heads over the word pieces in these rows of its embedding."""
    student = Network(replace(teacher.shape, layers=layers, vocabulary=len(rows)))
    state = {name: tensor for name, tensor in teacher.state_dict().items() if name in student.state_dict()}
    state["words.weight"] = state["words.weight"][list(rows)]
    student.load_state_dict(state)
    return student


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
    vocabulary: dict[str, int] = content["model"]["vocab"]
    special = {token["content"] for token in content["added_tokens"]}
    pieces = kept_pieces([example.text for example in parts.train], full, vocabulary, special)
    tokenizer = arguments.out / "tokenizer.json"
    tokenizer.write_text(json.dumps(trimmed_tokenizer(content, pieces), ensure_ascii=False), encoding="utf-8")

    hashes = file_hashes(data_folder(), run.clear)
    save_run(arguments.out, Run(run.base, RECIPE.seed, RECIPE.epochs, len(parts.train), hashes, run.clear))
    student = student_of(teacher, arguments.layers, [vocabulary[piece] for piece in pieces])
    logits = taught(arguments.out, [arguments.teacher], parts.train)
    trainer = Trainer(student, len(parts.train), labels_objective(parts.train, logits), RECIPE, arguments.out)
    trainer.resume()
    print(f"{len(pieces)} word pieces, {trainer.steps} steps", flush=True)
    train(trainer, Tokens(tokenizer, MAX_TOKENS), parts)


if __name__ == "__main__":
    main()
