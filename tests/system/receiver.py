"""The receiver as a test speaks to it: ``plaint inbox`` in a process of its own."""

import json
import time
import urllib.request
from typing import Any


class Receiver:
    """Talks to the inbox at ``port``."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def stats(self) -> dict[str, Any]:
        """Its counts. Raises OSError while it is away."""
        found: dict[str, Any] = json.loads(self._ask("/api/stats"))
        return found

    def receipts(self) -> list[dict[str, Any]]:
        """One a webhook id that was taken."""
        return [json.loads(line) for line in self._ask("/api/receipts").splitlines()]

    def fail(self, *rules: dict[str, Any], seed: int = 0) -> None:
        """Fail by these rules from now on; without any, work."""
        self._ask("/api/faults", json.dumps({"seed": seed, "rules": rules}).encode())

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            self.stats()
        except OSError:
            return False
        return True

    def wait(self, timeout_s: float = 60) -> None:
        """Return once it answers."""
        deadline = time.monotonic() + timeout_s
        while not self.answers():
            assert time.monotonic() < deadline, f"no receiver at {self.url}"
            time.sleep(0.05)

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: bytes = answer.read()
        return found


TAKES_LONG = {"do": "wait", "seconds": 0.05}
"""So that requests are in flight whenever something dies."""
DROPS_ONE_IN_FIVE = (
    TAKES_LONG,
    {"do": "drop", "share": 0.1, "taken": False},
    {"do": "drop", "share": 1 / 9, "taken": True},
)
HANGS = {"do": "hang"}
