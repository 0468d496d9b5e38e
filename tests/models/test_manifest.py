"""Weights that can't be served are refused at load, with the file, the fault and the mend."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.engine import Engine
from models.manifest import MANIFEST, NETWORK, TOKENIZER, WeightsError, load_manifest, sha256

TINY = Path(__file__).parent / "tiny-2"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(TINY, tmp_path / "weights"))


def edit(weights: Path, change: Callable[[dict[str, object]], object]) -> None:
    path = weights / MANIFEST
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_whole_weights_load(weights: Path) -> None:
    assert load_manifest(weights).name == "tiny-2"


@pytest.mark.parametrize("name", [MANIFEST, NETWORK, TOKENIZER])
def test_a_missing_file_is_named_with_the_mend(weights: Path, name: str) -> None:
    (weights / name).unlink()
    with pytest.raises(WeightsError, match=rf"{name} can't be read \(No such file or directory\): restore it"):
        Engine.load(weights)


@pytest.mark.parametrize("name", [NETWORK, TOKENIZER])
def test_a_changed_file_is_found_by_its_hash(weights: Path, name: str) -> None:
    content = bytearray((weights / name).read_bytes())
    content[len(content) // 2] ^= 1
    (weights / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name} has sha256 \w+, its manifest says"):
        Engine.load(weights)


def test_a_pointer_in_place_of_the_network_is_found(weights: Path) -> None:
    (weights / NETWORK).write_text("version https://git-lfs.github.com/spec/v1\n", encoding="ascii")
    with pytest.raises(WeightsError, match="sha256"):
        Engine.load(weights)


def test_a_broken_manifest_tells_each_fault(weights: Path) -> None:
    edit(weights, lambda content: content.update(urgent_threshold=1.5, surprise=1))
    with pytest.raises(WeightsError, match=r"urgent_threshold: .*surprise: "):
        load_manifest(weights)


def test_a_manifest_that_is_no_json_is_refused(weights: Path) -> None:
    (weights / MANIFEST).write_bytes(b"\x00\xff")
    with pytest.raises(WeightsError, match="is no manifest of weights"):
        load_manifest(weights)


def test_labels_in_another_order_are_refused(weights: Path) -> None:
    edit(weights, lambda content: content.update(intents=["praise", "complaint", "question", "marketing", "other"]))
    with pytest.raises(WeightsError, match="other labels"):
        load_manifest(weights)


def test_a_network_that_onnx_runtime_refuses_is_named(weights: Path) -> None:
    (weights / NETWORK).write_bytes(b"no graph")
    edit(weights, lambda content: content.update(files={**files(content), NETWORK: sha256(b"no graph")}))
    with pytest.raises(WeightsError, match=rf"{NETWORK} can't be loaded by ONNX Runtime"):
        Engine.load(weights)


def files(content: dict[str, object]) -> dict[str, object]:
    found = content["files"]
    assert isinstance(found, dict)
    return found
