"""What tests of the program share."""

from pathlib import Path

import pytest


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for what processes announce."""
    monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run"
