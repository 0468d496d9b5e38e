"""The float network as it ships: `network.safetensors`, which the int8 graph beside it is made of and training goes on from.

Matrices and vectors are float16. Word embeddings are int8 by row with float16 scales, which is what the int8 graph computes
with anyway: together both files stay under 60 MB. How each activation is quantised lies along, since it was seen on training
posts that whoever continues may not have. So the graph can be made again from this file alone, byte by byte.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from models.manifest import FLOAT, MEND, Manifest, WeightsError, sha256
from models.onnx_graph import EMBEDDING_TOP, Activation, quantise
from models.training.network import Network, Shape

WORDS = "words.weight"
VALUES, SCALES = "words.values", "words.scales"
ABOUT = "plaint"
"""Key of the file's metadata: JSON with the shape, and each activation's scale and zero point by matrix."""
LEAST_SCALE = 2.0**-14
"""The least float16 number of full precision."""


@dataclass(frozen=True)
class Packed:
    """A network in `.eval()`, and how the input of each of its matrices is quantised."""

    network: Network
    activations: dict[str, Activation]


def pack(network: Network, activations: dict[str, Activation]) -> bytes:
    """The content of the file. What `unpack` makes of it is the network rounded; rounded again it stays the same."""
    tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items() if name != WORDS}
    tensors |= _packed_words(network.state_dict()[WORDS])
    tensors |= {_smoothing(name): torch.from_numpy(one.smoothing) for name, one in activations.items()}
    levels = {name: [one.scale, one.zero] for name, one in sorted(activations.items())}
    about = {"shape": asdict(network.shape), "activations": levels}
    return bytes(save(tensors, {ABOUT: json.dumps(about)}))


def _packed_words(words: Tensor) -> dict[str, Tensor]:
    """A float16 scale times a value of 8 bits is exact in float32, and so is its way back."""
    rows = words.numpy()
    _, found = quantise(rows, 1, EMBEDDING_TOP)
    scales = np.maximum(found, LEAST_SCALE).astype(np.float16)
    values = np.rint(rows / scales.astype(np.float32)).clip(-EMBEDDING_TOP, EMBEDDING_TOP).astype(np.int8)
    return {VALUES: torch.from_numpy(values), SCALES: torch.from_numpy(scales)}


def _smoothing(matrix: str) -> str:
    return f"{matrix}.smoothing"


def unpack(path: Path) -> Packed:
    """Raises WeightsError where the file holds no such network."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()[ABOUT])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
        activations = {
            name: Activation(tensors.pop(_smoothing(name)).numpy(), scale, zero)
            for name, (scale, zero) in about["activations"].items()
        }
        words = tensors.pop(VALUES).float() * tensors.pop(SCALES).float()
        network = Network(Shape(**about["shape"]))
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()} | {WORDS: words})
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{path} holds no network that this plaint can go on from: {MEND}") from error
    return Packed(network.eval(), activations)


def load_packed(folder: Path, manifest: Manifest) -> Packed:
    """The float network of weights, checked by its hash; serving neither reads nor needs it.

    Raises:
        WeightsError: there is none, or it isn't the one that the manifest names.
    """
    path, expected = folder / FLOAT, manifest.files.get(FLOAT)
    if expected is None or not path.is_file():
        mend = "continue from weights that have one, such as those that ship"
        raise WeightsError(f"{folder} has no {FLOAT}, the network before it was made int8: {mend}")
    found = sha256(path.read_bytes())
    if found != expected:
        raise WeightsError(f"{path} has sha256 {found}, its manifest says {expected}: {MEND}")
    return unpack(path)
