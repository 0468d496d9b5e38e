"""A deliver worker in a process of its own, which tests may stop, continue and kill: ``python deliver_process.py JSON``."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


class DeliverProcess:
    """One worker; ``kafka`` and ``destination`` are settings as the settings file would have them.

    ``instance`` makes it a static member of its group: killed and restarted it is back at once.
    """

    def __init__(
        self, log: Path, name: str, kafka: dict[str, Any], destination: dict[str, Any], instance: str | None = None
    ) -> None:
        self.log = log
        self._argument = json.dumps({"name": name, "kafka": kafka, "destination": destination, "instance": instance})
        self.process = self._started()

    def restart(self) -> None:
        """Start another in place of one that has ended."""
        assert self.process.poll() is not None
        self.process = self._started()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def _started(self) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, __file__, self._argument], stderr=log, stdout=log, cwd=REPOSITORY, env=environment
            )


async def _run(argument: dict[str, Any]) -> None:
    from plaint.kafka.settings import KafkaSettings
    from plaint.monitoring.monitor import Monitor
    from plaint.workers.deliver import deliver
    from route.destinations.settings import DestinationSettings

    await deliver(
        KafkaSettings.model_validate(argument["kafka"]),
        argument["name"],
        DestinationSettings.model_validate(argument["destination"]),
        Monitor("deliver"),
        argument["instance"],
    )


if __name__ == "__main__":
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(_run(json.loads(sys.argv[1])))
