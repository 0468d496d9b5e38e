"""One worker a stage, each with a user of its own that may do what ``plaint topics --print`` prints and no more.

They log in with SCRAM over TLS. Topics and rights are made beforehand by Kafka's own tools out of that script. Imports nothing
of plaint's.
"""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion

from tests.support.command import plaint
from tests.support.https import self_signed
from tests.support.kafka_process import KafkaProcess, free_ports
from tests.support.kafka_tools import run_script
from tests.system.receiver import Receiver
from tests.system.stack import SECRET, TINY_MODELS, Plaint

ROLES = ("ingest", "classify", "route", "deliver-helpdesk", "tools-look", "tools-act")
PASSWORD = "s3same"
MECHANISM = "SCRAM-SHA-512"
SCRAM = "org.apache.kafka.common.security.scram"
TEXT = "My router is dead for the third time, nobody answers!"
STAGES: Mapping[str, list[str]] = {
    "classify": ["run", "classify"],
    "route": ["run", "route"],
    "deliver-helpdesk": ["run", "deliver", "--destination", "helpdesk"],
}
OTHER_SECRET = "whsec_" + "YW5vdGhlciBrZXkgdGhhbiB0aGUgcmVjZWl2ZXIgaGFzIQ=="


def secured_kafka(folder: Path) -> KafkaProcess:
    """A Kafka that grants nothing to anybody but to who comes without a password, for the tests' own use.

    ``folder``/cert vouches for it.
    """
    folder.mkdir(parents=True)
    self_signed(folder, "127.0.0.1")
    (folder / "both.pem").write_text((folder / "key").read_text() + (folder / "cert").read_text())
    properties = {
        "sasl.enabled.mechanisms": MECHANISM,
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{SCRAM}.ScramLoginModule required;",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "both.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    return KafkaProcess(folder, properties, ["SASL_SSL"])


def make_users(node: KafkaProcess) -> None:
    """A user for each role."""
    admin = KafkaAdminClient(bootstrap_servers=node.bootstrap)
    try:
        admin.alter_user_scram_credentials(
            [
                UserScramCredentialUpsertion(f"plaint-{role}", ScramMechanism.SCRAM_SHA_512, PASSWORD.encode())
                for role in ROLES
            ]
        )
    finally:
        admin.close()


class Ward:
    """The processes, and the commands that look at them."""

    def __init__(self, folder: Path, node: KafkaProcess) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.node = node
        port, *monitoring = free_ports(1 + len(STAGES))
        self.receiver = Receiver(port)
        self.secret = folder / "helpdesk.secret"
        self.monitoring = dict(zip(STAGES, monitoring, strict=True))
        self.stages = {
            name: Plaint(name, words, self.settings(name) | self._monitored(name), folder)
            for name, words in STAGES.items()
        }
        inbox = {"port": port, "secret": SECRET, "faults": {}, "keep": 100}
        self._inbox = Plaint("inbox", ["inbox"], {"PLAINT_INBOX": json.dumps(inbox)}, folder)

    @contextmanager
    def running(self) -> Iterator["Ward"]:
        """Everything started; topics and rights as the printed script makes them."""
        self.secret.write_text(SECRET)
        routes = {"rules": [{"name": "all", "why": "A test.", "destinations": ["helpdesk"]}]}
        (self.folder / "routes.yaml").write_text(json.dumps(routes))  # JSON is YAML
        make_users(self.node)
        script = self.run("topics", "--print", "--principal", "User:plaint-{role}").stdout.decode()
        run_script(script, self.node.bootstrap, self.folder)
        self._inbox.start()
        for stage in self.stages.values():
            stage.start()
        self.receiver.wait()
        try:
            yield self
        finally:
            for process in (*self.stages.values(), self._inbox):
                process.end(2)

    def settings(self, role: str) -> dict[str, str]:
        """The variables of a process or command with this role's user."""
        kafka = {
            "brokers": [self.node.more["SASL_SSL"]],
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(self.node.folder / "cert"),
            "sasl_mechanism": MECHANISM,
            "sasl_username": f"plaint-{role}",
            "sasl_password": PASSWORD,
            "session_timeout_s": 6,
            "heartbeat_s": 1,
            "rebalance_timeout_s": 20,
        }
        helpdesk = {
            "url": f"http://127.0.0.1:{self.receiver.port}/hooks/helpdesk",
            "secret_file": str(self.secret),
            "timeout_s": 2,
            "first_wait_s": 0.2,
            "max_wait_s": 1,
            "breaker_failures": 2,
        }
        return {
            "PLAINT_KAFKA": json.dumps(kafka),
            "PLAINT_CLASSIFY": json.dumps({"model": str(TINY_MODELS[0]), "threads": 1}),
            "PLAINT_ROUTE": json.dumps({"routes": str(self.folder / "routes.yaml")}),
            "PLAINT_DESTINATIONS": json.dumps({"helpdesk": helpdesk}),
            "PLAINT_RUNTIME_DIR": str(self.folder / "runtime"),
        }

    def _monitored(self, stage: str) -> dict[str, str]:
        return {"PLAINT_MONITORING": json.dumps({"port": self.monitoring[stage]})}

    # -- what a test does ----------------------------------------------------------------------------------------

    def run(self, *arguments: str, role: str = "tools-look", more: Mapping[str, str] | None = None) -> Any:
        """A command of plaint's to its end, as this role's user."""
        return plaint(*arguments, cwd=self.folder, settings=self.settings(role) | dict(more or {}))

    def write(self, *ids: str) -> None:
        """Put complaints with these ids into Kafka, as a producer of somebody's own."""
        producer = KafkaProducer(bootstrap_servers=self.node.bootstrap)
        for id_ in ids:
            producer.send("plaint.posts", key=id_.encode(), value=json.dumps({"id": id_, "text": TEXT}).encode())
        producer.flush()
        producer.close()

    def feed(self, *ids: str) -> None:
        """Publish complaints with these ids by ``plaint run ingest``."""
        posts = self.folder / f"{ids[0].replace(':', '-')}.jsonl"
        posts.write_text("".join(json.dumps({"id": id_, "text": TEXT}) + "\n" for id_ in ids))
        done = self.run("run", "ingest", "--source", f"file:{posts}", role="ingest")
        assert done.returncode == 0, done.stderr.decode()

    def tickets(self) -> int:
        """How many tickets the receiver was given."""
        return sum(receipt["op"] == "create" for receipt in self.receiver.receipts())

    def is_ready(self) -> bool:
        """Whether every stage says so."""
        try:
            for port in self.monitoring.values():
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60).close()
        except OSError:
            return False
        return True

    def failures(self) -> int:
        """How many requests the receiver refused or was told to fail."""
        stats = self.receiver.stats()
        return int(sum(stats["refused"].values()) + sum(stats["failed"].values()))

    def status(self, *, ask: bool = True) -> dict[str, Any]:
        """What ``plaint status`` finds."""
        addresses = [f"http://127.0.0.1:{port}" for port in self.monitoring.values()] if ask else []
        done = self.run("status", "--json", *(word for address in addresses for word in ("--ask", address)))
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (1 if found["findings"] else 0), done.stderr.decode()
        return found

    def doctor(self, *options: str, role: str = "tools-look") -> dict[str, dict[str, Any]]:
        """What ``plaint doctor`` finds, by check."""
        found = json.loads(self.run("doctor", "--json", *options, role=role).stdout)
        return {check["name"]: check for check in found}


def eventually(what: Callable[[], Any], timeout_s: float = 120, pause_s: float = 0.2) -> Any:
    """What ``what`` gives once that is something. Fails with what it gave last."""
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(pause_s)
    return found
