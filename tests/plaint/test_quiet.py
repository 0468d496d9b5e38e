"""What a person reads of brokers that can't be had is plaint's, and nothing of what the Kafka clients say of each try."""

import json
from collections.abc import Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer
from threading import Thread

import pytest

from tests.support.command import plaint, shown


@pytest.fixture
def rude() -> Iterator[str]:
    """A broker that hangs up on whoever comes, as one does that speaks another protocol than the settings say."""
    with TCPServer(("127.0.0.1", 0), BaseRequestHandler) as server:
        thread = Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("check-config", "note: kafka.brokers: can't be asked for tickets of removed destinations: no answer from "),
        ("send hello", "plaint: no answer from "),
        ("topics", "plaint: no answer from "),
    ],
)
def test_of_a_broker_that_hangs_up_one_line_is_said(words: str, line: str, rude: str, tmp_path: Path) -> None:
    settings = {"PLAINT_KAFKA__BROKERS": json.dumps([rude]), "PLAINT_RUNTIME_DIR": str(tmp_path)}
    done = plaint(*words.split(), cwd=tmp_path, settings=settings)
    said = [one for one in shown(done).splitlines() if one != "settings and routes can be used"]
    assert len(said) == 1, shown(done)
    assert said[0].startswith(line)
