"""The float network as it ships. Needs the `train` extra."""

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="NO FLOAT NETWORK TESTED: needs the train extra")
pytest.importorskip("onnx", reason="NO FLOAT NETWORK TESTED: needs the train extra")
pytest.importorskip("safetensors", reason="NO FLOAT NETWORK TESTED: needs the train extra")

from models.engine import Engine  # noqa: E402
from models.export import graph_of, write_networks  # noqa: E402
from models.manifest import FLOAT, MANIFEST, NETWORK, WeightsError, load_manifest  # noqa: E402
from models.store import WEIGHTS  # noqa: E402
from models.tokens import Tokens  # noqa: E402
from models.training.data import Example  # noqa: E402
from models.training.network import Network, Shape  # noqa: E402
from models.training.packed import load_packed, pack, unpack  # noqa: E402
from tests.support.float_model import TINY, float_model  # noqa: E402

SHAPE = Shape(vocabulary=12_000, positions=32, width=32, layers=2, heads=4, inner=64)
POSTS = [Example(str(number), "s", f"late again {number} @Tallis", 0, 0, 3, True) for number in range(20)]
CONTINUABLE = [folder for folder in WEIGHTS.iterdir() if (folder / FLOAT).is_file()]


def network(shape: Shape = SHAPE) -> Network:
    torch.manual_seed(3)
    made: Network = Network(shape).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


@pytest.mark.parametrize("shape", [SHAPE, replace(SHAPE, epsilon=1e-5, distances=8)], ids=["bert", "mpnet"])
def test_the_float_network_comes_back_and_its_int8_graph_is_the_same_bytes(tmp_path: Path, shape: Shape) -> None:
    made = network(shape)
    made.words.weight.data[5] = 0.0
    write_networks(tmp_path, made, POSTS, Tokens(TINY / "tokenizer.json", 16), seed=1)
    packed = unpack(tmp_path / FLOAT)
    assert packed.network.shape == shape
    assert len(packed.activations) == 8
    assert not packed.network.training
    for name, tensor in packed.network.state_dict().items():
        bits = 8 if name == "words.weight" else 11
        original = made.state_dict()[name]
        assert torch.allclose(tensor, original, rtol=0, atol=float(original.abs().max()) * 2**-bits), name
    assert graph_of(packed) == (tmp_path / NETWORK).read_bytes()
    assert pack(packed.network, packed.activations) == (tmp_path / FLOAT).read_bytes()


def test_serving_never_reads_it_and_training_on_checks_it(tmp_path: Path) -> None:
    folder = float_model(tmp_path / "team")
    manifest = load_manifest(folder)
    load_packed(folder, manifest)
    (folder / FLOAT).write_bytes(b"broken")
    assert Engine.load(folder).version == "team"
    with pytest.raises(WeightsError, match="has sha256"):
        load_packed(folder, manifest)
    (folder / FLOAT).unlink()
    assert Engine.load(folder).score(["late again"])
    with pytest.raises(WeightsError, match=f"has no {FLOAT}"):
        load_packed(folder, manifest)


def test_a_file_that_holds_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / FLOAT).write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="can go on from"):
        unpack(tmp_path / FLOAT)


def test_manifests_from_before_it_are_loaded_still() -> None:
    assert FLOAT not in load_manifest(TINY).files
    with pytest.raises(WeightsError, match=f"has no {FLOAT}"):
        load_packed(TINY, load_manifest(TINY))


@pytest.mark.skipif(not CONTINUABLE, reason="NO SHIPPED GRAPH MADE AGAIN: none ships with its float network")
@pytest.mark.parametrize("folder", CONTINUABLE, ids=lambda folder: folder.name)
def test_the_shipped_graph_is_the_one_that_its_float_network_gives(folder: Path) -> None:
    packed = load_packed(folder, load_manifest(folder))
    assert graph_of(packed) == (folder / NETWORK).read_bytes()
    shipped = sum(path.stat().st_size for path in folder.iterdir() if path.name in load_manifest(folder).files)
    assert shipped + (folder / MANIFEST).stat().st_size < 60_000_000
