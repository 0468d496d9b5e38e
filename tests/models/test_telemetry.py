"""What a model runs on must tell nobody of it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.pages import REPOSITORY

LABELS = """
from models.engine import Engine
Engine.load().score(["My order never came."])
import psutil
print(len(psutil.Process().net_connections()), psutil.Process().num_threads())
"""
CI = (
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "CIRCLECI",
    "TF_BUILD",
    "JENKINS_URL",
    "TRAVIS",
    "BUILD_ID",
    "ORT_RUNNING_UNIT_TESTS",
)
"""Variables in whose presence ONNX Runtime keeps silent by itself."""


def label(folder: Path, **variables: str) -> tuple[list[str], int, int]:
    """What lies in the folder for temporary files after a text was labelled, and how many connections and threads there are."""
    folder.mkdir()
    env = {name: value for name, value in os.environ.items() if name not in (*CI, "ORT_DISABLE_TELEMETRY")}
    env |= {"TMPDIR": str(folder), **variables}
    done = subprocess.run(
        [sys.executable, "-c", LABELS], cwd=REPOSITORY, env=env, check=True, capture_output=True, text=True
    )
    connections, threads = done.stdout.split()
    return [file.name for file in folder.iterdir()], int(connections), int(threads)


def test_onnx_runtime_sends_nothing_unless_somebody_asks_for_it(tmp_path: Path) -> None:
    left, connections, threads = label(tmp_path / "silent")
    assert (left, connections) == ([], 0)
    talking, _, more = label(tmp_path / "talking", ORT_DISABLE_TELEMETRY="0")
    assert ".ses" in talking, "this ONNX Runtime leaves no sign of its telemetry: look for another"
    assert more > threads
