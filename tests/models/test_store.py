"""Models on this machine: found, chosen, taken back; and never another than the chosen one."""

import shutil
from pathlib import Path

import pytest

from models.engine import SHIPPED
from models.store import DEFAULT, STATE, ModelInvalid, Store

TINY = Path(__file__).parent / "tiny-2"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """With two models of its own."""
    for name in ("first", "second"):
        shutil.copytree(TINY, tmp_path / "models" / name)
    return Store(tmp_path / "models")


def test_shipped_and_own_models_are_found(store: Store) -> None:
    found = {one.name: one for one in store.models()}
    assert list(found)[-2:] == ["first", "second"]
    assert found[DEFAULT].origin == "shipped"
    assert found["first"].origin == "own"
    assert found["first"].manifest is not None
    assert found["first"].manifest.languages == ("en",)
    assert found["first"].bytes > 1_000_000


def test_damaged_weights_are_listed_with_their_fault(store: Store) -> None:
    (store.folder / "second" / "tokenizer.json").write_text("{}")
    second = store.models()[-1]
    assert second.manifest is None
    assert "tokenizer.json has sha256" in second.fault


def test_the_default_is_used_until_somebody_chooses(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert (store.in_use(), store.name_in_use()) == (SHIPPED, DEFAULT)
    with pytest.raises(ModelInvalid, match="nothing was chosen"):
        store.rollback()


def test_a_choice_lasts_and_can_be_taken_back_step_by_step(store: Store) -> None:
    for name in ("first", "second"):
        store.use(name)
    again = Store(store.folder)
    assert again.in_use() == store.folder / "second"
    assert again.before() == "first"
    again.rollback()
    assert store.in_use() == store.folder / "first"
    assert store.before() == DEFAULT
    store.rollback()
    assert store.in_use() == SHIPPED


def test_a_model_that_is_chosen_twice_is_taken_back_by_one_rollback(store: Store) -> None:
    for name in ("first", "second", "second"):
        store.use(name)
    assert [one.name for one in store.history().chosen] == ["first", "second"]
    store.rollback()
    assert store.in_use() == store.folder / "first"


def test_a_name_that_nobody_knows_is_not_chosen(store: Store) -> None:
    with pytest.raises(ModelInvalid, match='did you mean "first"'):
        store.use("frist")
    assert not (store.folder / STATE).exists()


def test_a_chosen_model_that_is_gone_is_told_and_no_other_used(store: Store) -> None:
    store.use("first")
    shutil.rmtree(store.folder / "first")
    with pytest.raises(ModelInvalid, match='"first" was chosen, and it isn\'t there any more'):
        store.in_use()
    store.rollback()
    assert store.in_use() == SHIPPED


def test_a_damaged_file_of_choices_is_told(store: Store) -> None:
    (store.folder / STATE).write_text('{"chosen": [{"name": ""}]}')
    with pytest.raises(ModelInvalid, match=r"in-use\.json: is no list of choices; remove it"):
        store.in_use()


def test_an_own_model_that_is_called_like_a_shipped_one_is_told(store: Store) -> None:
    shutil.copytree(TINY, store.folder / DEFAULT)
    with pytest.raises(ModelInvalid, match="is called like a model that ships; give its folder another name"):
        store.models()


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelInvalid, match=r"in-use\.json: can't be read: Not a directory; let this user read it"):
        Store(tmp_path / "file").use(DEFAULT)
