"""Which door ``plaint up`` plans, and whether its ingest worker is one that ends."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.http.settings import DEFAULT_PORT, DoorSettings
from ingest.settings import SourceSettings
from plaint.local.plan import Plan, children, plan
from plaint.local.supervisor import Child
from plaint.settings import Settings
from tests.ingest.http_door import SECRETS, TOKENS


def planned(folder: Path, ends: bool = False, sources: tuple[str, ...] = (), **door: object) -> Plan:
    read = tuple(SourceSettings.model_validate(source) for source in sources)
    return plan(Settings(door=DoorSettings.model_validate(door), sources=read), folder, ends)


def ingest_of(made: Plan) -> Child | None:
    found = [child for group in children(made) for child in group if child.name == "ingest"]
    return found[0] if found else None


@pytest.fixture
def taken() -> Iterator[None]:
    """Somebody listens on the usual port."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", DEFAULT_PORT))
            other.listen()
        except OSError:
            pass  # somebody does already
        yield


@pytest.mark.usefixtures("taken")
def test_there_is_a_door_also_where_its_usual_port_is_taken(tmp_path: Path) -> None:
    made = planned(tmp_path)
    assert made.door.startswith("http://127.0.0.1:")
    assert not made.door.endswith(f":{DEFAULT_PORT}")
    assert made.settings.door.url == made.door
    child = ingest_of(made)
    assert child is not None
    assert not child.once


def test_a_port_that_is_named_is_taken(tmp_path: Path) -> None:
    assert planned(tmp_path, port=18_999).door == "http://127.0.0.1:18999"


@pytest.mark.parametrize("given", [{"ends": True}, {"ends": True, "open": True}, {"open": False}], ids=str)
def test_a_run_that_ends_and_one_that_wants_none_have_no_door(tmp_path: Path, given: dict[str, Any]) -> None:
    made = planned(tmp_path, **given)
    assert (made.door, made.settings.door.open, ingest_of(made)) == ("", False, None)
    child = ingest_of(planned(tmp_path, sources=("file:posts.jsonl",), **given))
    assert child is not None
    assert child.once


def test_a_guarded_door_has_a_token_for_the_pages_of_this_run(tmp_path: Path) -> None:
    made, again = planned(tmp_path, secret=SECRETS[0]), planned(tmp_path, secret=SECRETS[0])
    assert made.settings.door.token is not None
    assert made.settings.door.token != again.settings.door.token
    assert made.settings.door.faults() == []
    kept = planned(tmp_path, token=TOKENS[0]).settings.door.token
    assert kept is not None
    assert kept.get_secret_value() == TOKENS[0]
    assert planned(tmp_path).settings.door.token is None
