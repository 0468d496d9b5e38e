"""Trained network to shipped weights: `python -m models.export --run RUN --out models/weights/NAME`.

Writes the float network (unless it is too large to ship), the int8 graph that is made of it, the tokenizer, the manifest
(calibrated on the dev posts as the int8 graph scores them), and evaluation.json with the model card, as
`models.evaluation.record` does. Needs the `train` extra and `$PLAINT_DATA`.
"""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.evaluation.evaluation import Evaluation
from models.evaluation.labelled import LabelledPost
from models.evaluation.record import record, write
from models.manifest import FLOAT, MANIFEST, NETWORK, TOKENIZER, Manifest, sha256
from models.onnx_graph import Activation, build
from models.outputs import INTENT, Calibration, Floats, probabilities
from models.session import Session
from models.tokens import Tokens
from models.training.activations import observe
from models.training.calibrate import cheapest_threshold, fit_calibration, unsure_threshold
from models.training.checkpoint import Run, load_network, load_run
from models.training.data import ENGLISH, OTHER_LANGUAGES, Example, data_folder, load_parts
from models.training.network import Network, distance_buckets
from models.training.packed import Packed, pack, unpack
from models.training.train import MAX_TOKENS
from schemas.labels import INTENTS, SENTIMENTS, URGENCIES

TOKEN_BUDGET = 1024
LEAST_AGREEMENT = 0.97
"""Share of dev posts that int8 must give the same intent as float32."""
MOST_FLOAT_BYTES = 60_000_000
"""A larger float network is not kept beside the int8 graph, and nobody can go on from those weights."""
OBSERVED_STRIDE = 10
"""Of the training posts every so many-th shows what activations are."""


def float32_graph(network: Network) -> bytes:
    return _graph(network)


def graph_of(packed: Packed) -> bytes:
    """The int8 graph of a float network as it ships: the same bytes each time."""
    return _graph(packed.network, packed.activations)


def _graph(network: Network, activations: Mapping[str, Activation] | None = None) -> bytes:
    shape, biases = network.shape, None
    if shape.distances:
        biases = network.distances(distance_buckets(shape.positions, shape.distances)).permute(2, 0, 1).detach().numpy()
    return build(state_of(network), shape.layers, shape.heads, activations, shape.epsilon, biases, shape.one_query)


def state_of(network: Network) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}


def write_tokenizer(source: Path, target: Path) -> None:
    """The tokenizer without the truncation and padding of its origin: `models.tokens` cuts, sessions pad."""
    content = json.loads(source.read_text(encoding="utf-8"))
    content["truncation"] = content["padding"] = None
    target.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def logits_of(graph: Path, examples: Sequence[Example | LabelledPost], tokens: Tokens) -> Floats:
    session = Session(graph, threads=None, token_budget=TOKEN_BUDGET)
    return session.logits(tokens.encode([example.text for example in examples]))


def export(folder: Path, out: Path) -> Evaluation:
    """Exports the finished run in `folder` to `out`, whose name becomes the model's name, and measures it; what stood in `out`
    stays until all of it is made."""
    network, run = load_network(folder / "network.pt"), load_run(folder)
    parts = load_parts(data_folder(), run.clear, run.multilingual)
    draft = out.with_name(f".{out.name}.draft")
    draft.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder / "tokenizer.json", draft / TOKENIZER)
    tokens = Tokens(draft / TOKENIZER, MAX_TOKENS)
    write_networks(draft, network, parts.train[::OBSERVED_STRIDE], tokens, run.seed)
    if (draft / FLOAT).stat().st_size > MOST_FLOAT_BYTES:
        (draft / FLOAT).unlink()
    (draft / "float32.onnx").write_bytes(float32_graph(network))

    dev = logits_of(draft / NETWORK, parts.dev, tokens)
    _check_agreement(dev, logits_of(draft / "float32.onnx", parts.dev, tokens))
    manifest = _manifest(network, parts.dev, dev, draft, out.name, run)
    (draft / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    evaluation = record(draft, parts, float32=logits_of(draft / "float32.onnx", parts.test, tokens))
    write(draft, evaluation)
    (draft / "float32.onnx").unlink()
    shutil.rmtree(out, ignore_errors=True)
    draft.rename(out)
    return evaluation


def write_networks(folder: Path, network: Network, examples: Sequence[Example], tokens: Tokens, seed: int) -> None:
    """The float network, rounded as it ships, and the int8 graph of it, quantised by what its activations are over these
    posts, which must not be test posts."""
    path = folder / FLOAT
    path.write_bytes(pack(network, {}))
    path.write_bytes(pack(network, observe(unpack(path).network, examples, tokens, seed)))
    (folder / NETWORK).write_bytes(graph_of(unpack(path)))


def _check_agreement(int8: Floats, float32: Floats) -> None:
    """Raises ValueError where int8 and float32 give too many posts another intent."""
    agreed = float(np.mean(int8[:, INTENT].argmax(axis=1) == float32[:, INTENT].argmax(axis=1)))
    if agreed < LEAST_AGREEMENT:
        raise ValueError(f"int8 gives {agreed:.3f} of the dev posts the intent of float32, less than {LEAST_AGREEMENT}")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is chosen on dev posts: the probabilities' calibration, and the thresholds over them."""

    calibration: Calibration
    urgent_threshold: float
    unsure_below: float


def choose(examples: Sequence[Example], logits: Floats, seed: int) -> Chosen:
    """By dev posts as the int8 graph scores them."""
    calibration = fit_calibration(examples, logits)
    chances = probabilities(logits, calibration)
    right = chances.intents.argmax(axis=1) == np.array([example.intent for example in examples])
    urgent = np.array([example.urgent for example in examples])
    return Chosen(
        calibration=calibration,
        urgent_threshold=cheapest_threshold(chances.urgent, urgent, seed),
        unsure_below=unsure_threshold(chances.intents.max(axis=1), right, seed),
    )


def _manifest(
    network: Network, examples: Sequence[Example], dev: Floats, folder: Path, name: str, run: Run
) -> Manifest:
    chosen = choose(examples, dev, run.seed)
    return Manifest(
        name=name,
        intents=INTENTS,
        sentiments=SENTIMENTS,
        urgencies=URGENCIES,
        calibration=chosen.calibration,
        urgent_threshold=chosen.urgent_threshold,
        unsure_below=chosen.unsure_below,
        languages=(ENGLISH, *OTHER_LANGUAGES) if run.multilingual else (ENGLISH,),
        max_tokens=MAX_TOKENS,
        layers=network.shape.layers,
        base=run.base,
        went_on_from=run.went_on_from,
        seed=run.seed,
        epochs=run.epochs,
        data=run.data,
        clear=run.clear,
        files=hashes(folder),
    )


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of what a manifest names, as far as it is there."""
    found = (file for file in (NETWORK, FLOAT, TOKENIZER) if (folder / file).exists())
    return {file: sha256((folder / file).read_bytes()) for file in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished training")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    export(arguments.run, arguments.out)


if __name__ == "__main__":
    main()
