"""The wheel holds what runs and nothing else, and its command works from a folder with packages of the same names."""

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.command import environment, trap

REPOSITORY = Path(__file__).parents[1]
ROOMS = {"schemas", "models", "ingest", "classify", "route", "plaint"}
DATA = {
    "models/weights/minilm-5/manifest.json",
    "models/weights/minilm-5/model.int8.onnx",
    "models/weights/minilm-5/tokenizer.json",
    "models/weights/minilm-5/network.safetensors",
    "models/weights/multi-1/manifest.json",
    "models/weights/multi-1/model.int8.onnx",
    "models/weights/multi-1/tokenizer.json",
    "classify/policy_words.yaml",
    "route/routes.yaml",
    "ingest/samples/posts.jsonl",
    "schemas/json/ticket.v1.schema.json",
    "plaint/inbox/templates/board.html",
    "plaint/inbox/static/inbox.css",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git would hold, without a network."""
    folder, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, check=True, timeout=60)
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).symlink_to(REPOSITORY / name)
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *build, str(source)], check=True, timeout=170)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that holds the wheel and borrows the libraries of this one."""
    home = tmp_path_factory.mktemp("home") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True, timeout=170)
    [packages] = home.glob("lib/python*/site-packages")
    # A path in a .pth file does not bring the .pth files there with it: this repository's is left out.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin" / "plaint"


def test_it_holds_the_rooms_with_their_data_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == ROOMS
    assert names >= DATA
    assert not [name for name in names if name.endswith((".pyc", ".pt")) or ("/test_" in name and ".py" in name)]


def test_its_command_runs_from_a_folder_with_foreign_packages_of_the_same_names(
    installed: Path, tmp_path: Path
) -> None:
    folder = trap(tmp_path / "elsewhere")
    where: list[str | Path] = [installed.with_name("python"), "-P", "-c", "import models; print(models.__file__)"]
    runs: list[tuple[list[str | Path], str]] = [
        (where, ""),
        ([installed, "--version"], ""),
        ([installed, "check-config"], ""),
        ([installed, "classify"], '{"id": 1, "text": "hello"}'),
    ]
    for command, stdin in runs:
        done = subprocess.run(
            command, cwd=folder, env=environment(), input=stdin, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        if command == where:
            assert str(REPOSITORY) not in done.stdout
        elif stdin:
            assert json.loads(done.stdout)["model"] == "minilm-5"
