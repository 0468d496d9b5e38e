"""Signing keys that change while the process runs."""

import logging
from pathlib import Path

import pytest

from route.destinations.keys import SigningKeys
from route.destinations.settings import DestinationSettings

OLD, NEW = "whsec_" + "A" * 32, "whsec_" + "B" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(OLD)
    return file


def keys(file: Path, url: str = "https://desk.example/hook/T0K3N") -> SigningKeys:
    return SigningKeys(DestinationSettings.model_validate({"url": url, "secret_file": file}))


def replace(file: Path, text: str) -> None:
    draft = file.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(file)


def test_they_are_read_again_when_the_file_has_changed_and_only_then(file: Path) -> None:
    found = keys(file)
    assert not found.refresh()
    replace(file, f"{NEW}\n{OLD}\n")
    assert found.refresh()
    assert [key[0] for key in found.current] == [1 << 2, 0]
    assert not found.refresh()


def test_a_secret_that_is_mounted_through_a_link_changes_with_the_link(tmp_path: Path) -> None:
    for name, text in (("one", OLD), ("two", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text(text)
    link = tmp_path / "data"
    link.symlink_to("one")
    found = keys(link / "secret")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    assert found.refresh()


@pytest.mark.parametrize("text", ["", "hunter2-is-no-key", f"{NEW}\nhalf_writ"])
def test_a_file_that_cannot_be_used_leaves_the_former_keys_and_is_told_once_without_its_content(
    file: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    found = keys(file)
    former, mark = found.current, found.mark
    replace(file, text)
    with caplog.at_level(logging.INFO):
        assert not found.refresh()
        assert not found.refresh()
    assert (found.current, found.mark) == (former, mark)
    assert len(caplog.records) == 1
    assert "stays in use" in caplog.text
    assert not any(secret in caplog.text for secret in ("hunter2", NEW, "half_writ"))
    replace(file, NEW)
    assert found.refresh()


def test_a_file_that_is_gone_leaves_the_former_keys(file: Path) -> None:
    found = keys(file)
    file.unlink()
    assert not found.refresh()
    file.write_text(NEW)
    assert found.refresh()


def test_the_mark_changes_with_address_and_first_key_and_holds_neither(file: Path) -> None:
    found = keys(file)
    assert found.mark == keys(file).mark
    assert found.mark != keys(file, "https://desk.example/other").mark
    replace(file, f"{OLD}\n{NEW}")
    assert found.refresh()
    assert found.mark == keys(file).mark
    former = found.mark
    replace(file, f"{NEW}\n{OLD}")
    assert found.refresh()
    assert found.mark != former
    assert len(found.mark) == 16


def test_the_mark_changes_with_the_proxy_since_its_answers_may_pass_for_the_receivers(file: Path) -> None:
    def mark(**settings: str) -> str:
        made = {"url": "http://10.1.2.3/hook", "secret_file": file, **settings}
        return SigningKeys(DestinationSettings.model_validate(made)).mark

    assert len({mark(), mark(proxy="http://one.example:3128"), mark(proxy="http://two.example:3128")}) == 3


def test_a_secret_in_the_settings_stays() -> None:
    found = SigningKeys(DestinationSettings.model_validate({"url": "https://desk.example/", "secret": OLD}))
    assert not found.refresh()
    assert found.current == (bytes(24),)
