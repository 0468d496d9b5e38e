"""How a model is named in the settings, as a text and as a map."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from models.choice import ModelChoice, user_data_folder
from models.engine import SHIPPED
from models.loading import folder_of, model_faults
from models.store import ModelInvalid, Store

TINY = Path(__file__).parent / "tiny-2"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("minilm-5", "minilm-5"),
        ("./mine", "./mine"),
        (Path("mine"), "mine"),
        ("hf:acme/tickets", "hf:acme/tickets"),
        ("hf:acme/tickets@3f2a", "hf:acme/tickets@3f2a"),
        ({"hugging_face": "./bert", "labels": {"LABEL_0": "praise"}}, "hf:./bert"),
    ],
)
def test_a_text_or_a_map_names_a_model_and_survives_the_way_to_another_process(given: Any, text: str) -> None:
    choice = ModelChoice.model_validate(given)
    assert choice.text == text
    assert ModelChoice.model_validate_json(choice.model_dump_json()) == choice


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "names no model, or two"),
        ({"name": "a", "hugging_face": "b"}, "names no model, or two"),
        ("hf:", "names no model, or two"),
        ({"name": "a", "labels": {"LABEL_0": "praise"}}, "brings its labels along"),
        ({"hugging_face": "a", "labels": {"LABEL_0": "anger"}}, "complaint"),
        ({"hugging_face": "a", "languages": ["English"]}, "pattern"),
        ({"hugging_face": "a", "urgency": {"hugging_face": "b", "labels": {"high": 5}}}, "less than or equal to 4"),
    ],
)
def test_what_names_no_model_is_refused(given: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ModelChoice.model_validate(given)


def test_a_name_is_looked_up_and_a_folder_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "minilm-5").mkdir()
    (tmp_path / "mine").mkdir()
    store = Store(tmp_path / "none")
    assert folder_of(ModelChoice(name=SHIPPED.name), store) == SHIPPED
    assert folder_of(ModelChoice(name="mine"), store) == Path("mine")
    assert folder_of(ModelChoice(name=f"./{SHIPPED.name}"), store) == Path(SHIPPED.name)
    with pytest.raises(ModelInvalid, match='no model is called "minilm"; did you mean "minilm-'):
        folder_of(ModelChoice(name="minilm"), store)


def test_faults_are_told_without_loading_the_network(tmp_path: Path) -> None:
    assert model_faults(None, tmp_path) == []
    assert model_faults(ModelChoice(name=str(TINY)), tmp_path) == []
    [fault] = model_faults(ModelChoice(name=str(tmp_path)), tmp_path)
    assert (fault.place, fault.what) == (
        "classify.model",
        f"{tmp_path}/manifest.json can't be read (No such file or directory)",
    )
    (tmp_path / "in-use.json").write_text("{")
    [fault] = model_faults(None, tmp_path)
    assert fault.mend == "remove it, and choose again with `plaint models use NAME`"


def test_data_stands_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    assert user_data_folder() == Path("/srv/data/plaint")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # to be ignored, says the XDG specification
    monkeypatch.setenv("HOME", "/home/x")
    assert user_data_folder() == Path("/home/x/.local/share/plaint")


def test_a_user_whom_the_machine_does_not_know_and_who_has_no_home_has_a_folder_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 9)
    assert user_data_folder() == Path("/.local/share/plaint")
