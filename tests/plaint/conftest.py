"""What tests of the program share."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from plaint.diagnosis.quiet import CLIENTS


@pytest.fixture(autouse=True)
def loud_clients() -> Iterator[None]:
    """What a command of this process hushed is heard again."""
    yield
    for name in CLIENTS:
        logging.getLogger(name).propagate = True


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for what processes announce."""
    monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run"
