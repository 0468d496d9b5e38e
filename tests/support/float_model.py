"""A folder of weights that training can go on from, made of the small model of the tests. Needs the `train` extra."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from models.export import graph_of, hashes
from models.manifest import FLOAT, MANIFEST, NETWORK, TOKENIZER, load_manifest
from models.onnx_graph import Activation
from models.training.network import Network, Shape
from models.training.packed import pack, unpack

TINY = Path(__file__).parents[1] / "models" / "tiny-2"
Constants = dict[str, NDArray[np.float32]]


def float_model(folder: Path) -> Path:
    """``folder``, with the small model and its float network, which is read back out of the int8 graph."""
    folder.mkdir(parents=True)
    shutil.copyfile(TINY / TOKENIZER, folder / TOKENIZER)
    manifest = load_manifest(TINY)
    network, activations = _read_back(TINY / NETWORK, manifest.layers)
    (folder / FLOAT).write_bytes(pack(network, activations))
    (folder / NETWORK).write_bytes(graph_of(unpack(folder / FLOAT)))
    made = manifest.model_copy(update={"name": folder.name, "files": hashes(folder)})
    (folder / MANIFEST).write_text(made.model_dump_json())
    return folder


def _read_back(graph: Path, layers: int) -> tuple[Network, dict[str, Activation]]:
    found: Constants = {one.name: numpy_helper.to_array(one) for one in onnx.load(graph).graph.initializer}
    state = {
        name: value for name, value in found.items() if "norm" in name or name in ("positions.weight", "heads.bias")
    }
    state |= {"words.weight": found["words.values"] * found["words.scales"], "heads.weight": found["heads"].T}
    activations = {}
    for name in (
        f"layers.{layer}.{kind}" for layer in range(layers) for kind in ("qkv", "attention_out", "inner", "outer")
    ):
        factors = found[f"{name}.smoothing"]
        scale, zero = float(found[f"{name}.in.scale"].item()), int(found[f"{name}.in.zero"].item())
        activations[name] = Activation((1 / factors).astype(np.float32), scale, zero)
        parts = [name] if f"{name}.values" in found else [f"{name}.{part}" for part in ("query", "key", "value")]
        matrix = np.concatenate([found[f"{part}.values"] * found[f"{part}.scales"] for part in parts], axis=1)
        state[f"{name}.weight"] = (matrix * factors[:, None]).T
        state[f"{name}.bias"] = np.concatenate([found[f"{part}.bias"] for part in parts])
    vocabulary, width = state["words.weight"].shape
    network = Network(
        Shape(vocabulary=vocabulary, width=width, layers=layers, positions=len(state["positions.weight"]))
    )
    network.load_state_dict({name: torch.tensor(np.ascontiguousarray(value)) for name, value in state.items()})
    return network, activations
