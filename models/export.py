"""Trained network to shipped weights: `python -m models.export --network run/network.pt --out models/weights/NAME`.

Writes the int8 graph, the tokenizer, the manifest (calibrated on the dev posts as the int8 graph scores them) and the
model card (README.md) with what the test posts say, int8 beside float32. Needs the `train` extra and `$PLAINT_DATA`.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.evaluation.card import Subject, render
from models.evaluation.metrics import macro_f1
from models.manifest import MANIFEST, NETWORK, TOKENIZER, Manifest, sha256
from models.onnx_graph import build
from models.outputs import INTENT, Floats, probabilities
from models.session import Session
from models.tokens import Tokens
from models.training.calibrate import cheapest_threshold, fit_calibration
from models.training.checkpoint import load_network
from models.training.data import Example, data_folder, file_hashes, load_parts
from models.training.network import BASE_PACKAGE, BASE_SHA256, Network, base_folder
from models.training.train import MAX_TOKENS, Recipe
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES

TOKEN_BUDGET = 1024
MOST_LOST = 0.015
"""Of intent macro-F1 on the dev posts that int8 may cost against float32."""


def graph_of(network: Network, int8: bool) -> bytes:
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    return build(state, network.shape.layers, network.shape.heads, int8)


def write_tokenizer(source: Path, target: Path) -> None:
    """The tokenizer without the truncation and padding of its origin: `models.tokens` cuts, sessions pad."""
    content = json.loads(source.read_text(encoding="utf-8"))
    content["truncation"] = content["padding"] = None
    target.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def logits_of(graph: Path, examples: Sequence[Example], tokens: Tokens) -> Floats:
    session = Session(graph, threads=None, token_budget=TOKEN_BUDGET)
    return session.logits(tokens.encode([example.text for example in examples]))


def export(network_file: Path, tokenizer: Path, out: Path, recipe: Recipe) -> None:
    """Writes the folder `out`, whose name becomes the model's name."""
    network, folder, parts = load_network(network_file), data_folder(), load_parts(data_folder())
    out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(tokenizer, out / TOKENIZER)
    (out / NETWORK).write_bytes(graph_of(network, int8=True))
    tokens = Tokens(out / TOKENIZER, MAX_TOKENS)

    dev = logits_of(out / NETWORK, parts.dev, tokens)
    _check_agreement(parts.dev, dev, _float32_logits(network, parts.dev, tokens))
    calibration = fit_calibration(parts.dev, dev)
    urgent = np.array([example.urgent for example in parts.dev])
    threshold = cheapest_threshold(probabilities(dev, calibration).urgent, urgent, recipe.seed)
    manifest = Manifest(
        name=out.name,
        intents=INTENTS,
        sentiments=SENTIMENTS,
        urgencies=URGENCIES,
        calibration=calibration,
        urgent_threshold=threshold,
        max_tokens=MAX_TOKENS,
        layers=network.shape.layers,
        base=f"{BASE_PACKAGE} {BASE_SHA256}",
        seed=recipe.seed,
        epochs=recipe.epochs,
        data=file_hashes(folder),
        files={name: sha256((out / name).read_bytes()) for name in (NETWORK, TOKENIZER)},
    )
    (out / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    subject = Subject(
        manifest=manifest,
        parts=parts,
        int8=logits_of(out / NETWORK, parts.test, tokens),
        float32=_float32_logits(network, parts.test, tokens),
        bytes_shipped=sum((out / name).stat().st_size for name in (NETWORK, TOKENIZER, MANIFEST)),
    )
    (out / "README.md").write_text(render(subject), encoding="utf-8")


def _check_agreement(examples: Sequence[Example], int8: Floats, float32: Floats) -> None:
    """Raises ValueError where int8 lost more than `MOST_LOST` of the intent macro-F1 on these posts."""
    truth = np.array([example.intent for example in examples])
    scores = [macro_f1(truth, logits[:, INTENT].argmax(axis=1), len(INTENTS)) for logits in (int8, float32)]
    sys.stdout.write(f"intent macro-F1 on dev: int8 {scores[0]:.4f}, float32 {scores[1]:.4f}\n")
    if scores[1] - scores[0] > MOST_LOST:
        raise ValueError(f"int8 loses {scores[1] - scores[0]:.4f} of the intent macro-F1, more than {MOST_LOST}")


def _float32_logits(network: Network, examples: Sequence[Example], tokens: Tokens) -> Floats:
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        graph.write_bytes(graph_of(network, int8=False))
        return logits_of(graph, examples, tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, default=None, help="default: the pretrained encoder's")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    arguments = parser.parse_args()
    tokenizer = arguments.tokenizer or base_folder() / "tokenizer.json"
    export(arguments.network, tokenizer, arguments.out, Recipe(epochs=arguments.epochs, seed=arguments.seed))


if __name__ == "__main__":
    main()
