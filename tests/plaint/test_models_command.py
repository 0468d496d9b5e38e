"""``plaint models``: listing, choosing and going back, as somebody does it at a terminal."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.command import plaint, shown

TINY = Path(__file__).parents[1] / "models" / "tiny-2"
POST = b'{"id": "1", "text": "my router is dead, third time"}\n'


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """A folder of models with a sound and a damaged one, and where this machine's running plaints are looked for."""
    for name in ("small", "damaged"):
        shutil.copytree(TINY, tmp_path / "models" / name)
    (tmp_path / "models" / "damaged" / "model.int8.onnx").write_bytes(b"no network")
    return {"PLAINT_CLASSIFY__MODELS": str(tmp_path / "models"), "PLAINT_RUNTIME_DIR": str(tmp_path / "run")}


def test_a_model_is_chosen_labels_and_is_taken_back(settings: dict[str, str], tmp_path: Path) -> None:
    chosen = plaint("models", "use", "small", cwd=tmp_path, settings=settings)
    assert chosen.returncode == 0, shown(chosen)
    assert "tiny-2: loaded in" in shown(chosen)
    assert "small is chosen; it was minilm-" in shown(chosen)
    assert "elsewhere send SIGHUP to each `plaint run classify`" in shown(chosen)
    labelled = plaint("classify", cwd=tmp_path, stdin=POST, settings=settings)
    assert json.loads(labelled.stdout)["model"] == "tiny-2"

    listed = json.loads(plaint("models", "list", "--json", cwd=tmp_path, settings=settings).stdout)
    assert [one["name"] for one in listed if one["in_use"]] == ["small"]
    table = plaint("models", "list", cwd=tmp_path, settings=settings)
    lines = table.stdout.decode().splitlines()
    assert any(line.startswith("*  small") and " en " in line and "6.8 MB" in line for line in lines), shown(table)
    assert any(line.startswith("! damaged can't be used: ") for line in lines)

    repeated = plaint("models", "use", "small", cwd=tmp_path, settings=settings)
    assert "small is chosen, as it was before" in shown(repeated)
    back = plaint("models", "rollback", cwd=tmp_path, settings=settings)
    assert "is chosen again; it was small" in shown(back)
    again = plaint("models", "rollback", cwd=tmp_path, settings=settings)
    assert again.returncode == 2
    assert "nothing was chosen here" in shown(again)


def test_a_model_that_can_not_label_is_not_chosen(settings: dict[str, str], tmp_path: Path) -> None:
    refused = plaint("models", "use", "damaged", cwd=tmp_path, settings=settings)
    assert refused.returncode == 2
    assert "damaged" in shown(refused)
    assert "sha256" in shown(refused)
    assert not (tmp_path / "models" / "in-use.json").exists()


def test_what_the_settings_name_wins_and_is_said_so(settings: dict[str, str], tmp_path: Path) -> None:
    named = {**settings, "PLAINT_CLASSIFY__MODEL": str(TINY)}
    refused = plaint("models", "use", "small", cwd=tmp_path, settings=named)
    assert refused.returncode == 2
    assert "which wins over what is chosen here; take it out of the settings first" in shown(refused)
    listed = plaint("models", "list", cwd=tmp_path, settings=named)
    assert f"in use: {TINY} (classify.model in the settings)" in shown(listed)


def test_a_chosen_model_that_is_gone_stops_classify_with_the_mend(settings: dict[str, str], tmp_path: Path) -> None:
    plaint("models", "use", "small", cwd=tmp_path, settings=settings)
    shutil.rmtree(tmp_path / "models" / "small")
    stopped = plaint("classify", cwd=tmp_path, stdin=POST, settings=settings)
    assert (stopped.returncode, stopped.stdout) == (2, b"")
    assert "plaint models rollback" in shown(stopped)
