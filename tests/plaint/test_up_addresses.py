"""The addresses that `plaint up` tells are its own from the start."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ingest.http.listening import CannotListen
from plaint.local.plan import children, listening
from plaint.settings import Settings


def takes_connections(url: str) -> bool:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5):
        return True


def test_two_runs_started_at_once_never_share_an_inbox_or_a_door(tmp_path: Path) -> None:
    with listening(Settings(), tmp_path) as first, listening(Settings(), tmp_path) as second:
        addresses = [first.inbox, first.door, second.inbox, second.door]
        assert len(set(addresses)) == 4
        assert all(takes_connections(address) for address in addresses)


def test_inbox_and_door_are_handed_the_sockets_that_listen_already(tmp_path: Path) -> None:
    with listening(Settings(), tmp_path) as planned:
        found = {child.name: child for group in children(planned) for child in group}
        for name, address in (("inbox", planned.inbox), ("ingest", planned.door)):
            (number,) = found[name].sockets
            assert found[name].env["PLAINT_LISTEN_FD"] == str(number)
            with socket.socket(fileno=os.dup(number)) as listener:
                assert listener.getsockname()[1] == urlsplit(address).port
        assert found["classify"].sockets == ()
        assert "PLAINT_LISTEN_FD" not in found["classify"].env


@pytest.mark.parametrize("section", ["inbox", "door"])
def test_a_port_that_was_asked_for_and_is_taken_is_told_before_anything_starts(tmp_path: Path, section: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = Settings.model_validate({section: {"port": port}})
        said = f"{section}: 127.0.0.1 port {port}: Address already in use; another program listens there, set {section}.port"
        with pytest.raises(CannotListen, match=said), listening(settings, tmp_path):
            pytest.fail("it listens on a port of somebody else's")
