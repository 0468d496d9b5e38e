"""Folders of weights that load in no time."""

import json
from pathlib import Path

from tests.support.kafka_process import REPOSITORY

TINY = REPOSITORY / "tests" / "models" / "tiny-2"
DAMAGED = "damaged"


def make_weights(models: Path, *names: str) -> None:
    """Sound models of these names, and one whose network is damaged."""
    for name in (*names, DAMAGED):
        folder = models / name
        folder.mkdir(parents=True)
        for file in TINY.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        manifest = json.loads((folder / "manifest.json").read_bytes())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"name": name}))
    (models / DAMAGED / "model.int8.onnx").write_bytes(b"no network")
