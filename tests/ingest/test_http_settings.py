"""What the door can be told, and what keeps it from opening."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ingest.http.listening import address, is_loopback
from ingest.http.settings import DoorSettings
from tests.ingest.http_door import SECRETS, TOKENS


def places(**given: Any) -> list[str]:
    return [fault.place for fault in DoorSettings.model_validate(given).faults()]


def test_on_this_machine_it_opens_as_it_is_shipped() -> None:
    assert DoorSettings().faults() == []
    assert DoorSettings().url == "http://127.0.0.1:8320"
    assert not DoorSettings().is_guarded


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "posts.example.com", "localhost.example.com"])
def test_where_others_reach_it_a_secret_or_a_token_is_needed(host: str, tmp_path: Path) -> None:
    [fault] = DoorSettings(host=host).faults()
    assert fault.place == "host"
    assert "neither a secret nor a token" in fault.what
    assert "door.secret_file or door.token_file" in fault.mend
    (tmp_path / "keys").write_text(SECRETS[0])
    (tmp_path / "tokens").write_text(TOKENS[0])
    assert places(host=host, secret=SECRETS[0]) == []
    assert places(host=host, token=TOKENS[0]) == []
    assert places(host=host, secret_file=tmp_path / "keys") == []
    assert places(host=host, token_file=tmp_path / "tokens") == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "[::1]"])
def test_loopback_is_known_in_each_way_of_writing_it(host: str) -> None:
    assert is_loopback(host)


def test_its_address_is_one_that_a_program_here_can_use() -> None:
    assert address("0.0.0.0", 1) == address("::", 1) == "http://localhost:1"
    assert address("::1", 1) == "http://[::1]:1"


@pytest.mark.parametrize("content", [None, "", " \n", "short", "whsec_%%%", f"{TOKENS[0]}\nshort"])
def test_a_file_that_holds_no_keys_is_named_and_its_content_is_not_told(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    settings = DoorSettings(secret_file=file, token_file=file)
    found = settings.faults()
    assert [fault.place for fault in found] == ["secret_file", "token_file"]
    assert not any(content and content.strip() and content in str(fault) for fault in found)


@pytest.mark.parametrize(
    "given", [{"secret": "whsec_short"}, {"token": "short"}, {"token": "with spaces in it it is none"}]
)
def test_a_secret_that_is_none_is_refused_without_being_told(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as error:
        DoorSettings.model_validate(given)
    assert next(iter(given.values())) not in str(error.value)


def test_secrets_stay_out_of_what_is_printed() -> None:
    assert SECRETS[0] not in repr(DoorSettings(secret=SECRETS[0], token=TOKENS[0]))
    assert TOKENS[0] not in str(DoorSettings(secret=SECRETS[0], token=TOKENS[0]))


def test_several_secrets_and_tokens_are_taken_at_once(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("\n".join(SECRETS))
    settings = DoorSettings(secret=SECRETS[0], secret_file=tmp_path / "keys", token=TOKENS[1])
    assert settings.signing_keys() == (SECRETS[0], *SECRETS)
    assert settings.tokens() == (TOKENS[1],)
