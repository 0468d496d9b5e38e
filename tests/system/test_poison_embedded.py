"""The table of posts on the embedded broker, and foreign bytes on every topic that ``plaint up`` follows."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.kafka_process import die_with_parent
from tests.system import wire
from tests.system.lab import START_S, UNSEEN, environment
from tests.system.poison import DROPPED, JSON, PASSES, POSTS, post
from tests.system.raw import PARTITIONS, Writer, until


@pytest.mark.long
def test_posts_topic_of_the_embedded_broker(tmp_path: Path) -> None:
    """And what foreign bytes on every other topic do to ``plaint up``, which reads them all."""
    cases = POSTS
    garbage = [wire.TRIAGED, wire.tickets("helpdesk"), wire.deliveries("helpdesk"), wire.DEAD_LETTERS]
    with Up(tmp_path) as up:
        with Writer(up.bootstrap()) as writer:
            for number, case in enumerate(cases.values()):
                partition, own = number % PARTITIONS, f"poison{number:06d}"
                writer.put(wire.POSTS, partition, case.filled(own), case.key, case.headers)
                writer.put(wire.POSTS, partition, post().replace(b"ID", b"sound%07d" % number))
            for topic in garbage:
                writer.put(topic, 0, b"\xff{", b"\xff", [("plaint-reason", b"\xff"), ("", b"")])
        summary = up.summary(post().replace(b"ID", b"through stdin"))
    outcomes = Counter(case.outcome for case in cases.values())
    dead = {reason: count for reason, count in outcomes.items() if reason not in (PASSES, DROPPED)}
    dead[JSON] += 2  # on triaged and on tickets
    assert summary["lost"] == summary["duplicates"] == 0, up.said()
    assert summary["dead"] == dead
    assert summary["dropped"]["empty_text"] + summary["dropped"]["unknown_event"] == outcomes[DROPPED]
    assert summary["triaged"] == outcomes[PASSES] + len(cases) + 1
    assert "Traceback" not in up.said()
    assert not UNSEEN.search(up.said().encode())


class Up:
    """``plaint up`` on standard input, which ends once all is settled."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "plaint",
                    "up",
                    "--source",
                    "stdin",
                    "--exit-when-done",
                    "--summary",
                    "json",
                ],
                env=environment() | {"PLAINT_INBOX__PORT": "0"},
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def said(self) -> str:
        """All that it logged."""
        return self._log.read_text(errors="replace")

    def bootstrap(self) -> str:
        """The address of its broker, once the topics are there."""
        until(lambda: "inbox: http" in self.said(), START_S, self.said)
        found = re.search(r"127\.0\.0\.1:\d+", self.said())
        assert found, self.said()
        return found[0]

    def summary(self, last: bytes) -> dict[str, Any]:
        """What it sums up at its end, which comes after this line."""
        out, _ = self._process.communicate(last + b"\n", timeout=START_S)
        assert self._process.returncode == 0, self.said()
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found
