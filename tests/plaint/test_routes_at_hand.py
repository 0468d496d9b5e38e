"""Which routes the tools explain by: those of the run that they look at, as they are now."""

from pathlib import Path

import pytest

from plaint.local.running import announced
from plaint.lookup.routes import FreshTable, table_at_hand
from plaint.reloading.routes_in_use import RoutesInUse
from plaint.settings import Settings
from route.rules import RouteTable

RULES = "rules:\n  - {{name: {name}, why: w, destinations: [helpdesk]}}\n"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path / "run"))


def write(file: Path, name: str) -> Path:
    draft = file.with_suffix(".new")
    draft.write_text(RULES.format(name=name))
    return draft.replace(file)


def names(table: RouteTable) -> list[str]:
    return [rule.match.rule for rule in table.rules]


def test_a_table_follows_its_file_and_outlives_a_bad_one(tmp_path: Path) -> None:
    file = write(tmp_path / "routes.yaml", "first")
    table = FreshTable(file, ["helpdesk"])
    assert names(table()) == ["first"]
    write(file, "second")
    assert names(table()) == ["second"]
    file.write_text("rules: 7")
    assert names(table()) == ["second"]
    file.unlink()
    assert names(table()) == ["second"]


def test_without_brokers_in_the_settings_it_is_the_routes_of_the_run_that_is_looked_at(tmp_path: Path) -> None:
    file = write(tmp_path / "routes.yaml", "mine")
    with announced(None, destinations=("helpdesk",)):
        RoutesInUse.here("up", file, "1", ("helpdesk",)).announce()
        found = table_at_hand(Settings(), ["helpdesk"])
        named = table_at_hand(
            Settings.model_validate({"kafka": {"brokers": ["kafka:9092"]}}), ["helpdesk", "service", "marketing"]
        )
    assert found is not None
    assert names(found) == ["mine"]
    assert named is not None
    assert names(named) != ["mine"]
