"""The Makefile, where a first try fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
WITHOUT_ENSUREPIP = f"""#!/bin/sh
[ "$2" = venv ] || exec '{sys.executable}' "$@"
'{sys.executable}' -m venv --without-pip "$3"
echo 'ensurepip is not available' >&2
exit 1
"""
"""As Debian's Python without the package python3-venv: it fails only once the environment has its bin/python."""


def make_environment(folder: Path, python: str) -> "subprocess.CompletedProcess[str]":
    words = ["make", ".venv/bin/python", f"PYTHON={python}"]
    own = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}  # of the make that runs the tests
    return subprocess.run(words, cwd=folder, env=own, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(shutil.which("make") is None, reason="NOT TESTED: make is not installed")
def test_an_environment_that_could_not_be_made_is_made_once_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "a checkout"
    folder.mkdir()
    shutil.copy(REPOSITORY / "Makefile", folder)
    lacking = tmp_path / "python"
    lacking.write_text(WITHOUT_ENSUREPIP)
    lacking.chmod(0o755)
    failed = make_environment(folder, str(lacking))
    assert failed.returncode != 0
    assert "ensurepip is not available" in failed.stderr
    made = make_environment(folder, sys.executable)
    assert made.returncode == 0, made.stderr
    pip = [str(folder / ".venv" / "bin" / "python"), "-m", "pip", "--version"]
    assert subprocess.run(pip, capture_output=True, timeout=60).returncode == 0
