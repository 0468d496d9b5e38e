"""``plaint up`` from outside: the whole way, its summary, what breaks on the way, and how it ends."""

import contextlib
import json
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.command import PLAINT, environment, trap, unheard
from tests.support.kafka_process import REPOSITORY, free_ports

pytestmark = pytest.mark.timeout(300)

LIMIT_S = 240
ENDING_S = 45
SECRET = "whsec_" + "bm9ib2R5IG1heSBldmVyIHNlZSB0aGlzIHNlY3JldA=="
DONE = ("--exit-when-done", "--summary", "json", "--patience", "60")
TINY = next(iter(sorted((REPOSITORY / "tests" / "models").glob("tiny-*"))), None)
SMALL = {"PLAINT_CLASSIFY__MODEL": str(TINY)} if TINY else {}
KEYS = [
    "read",
    "posts",
    "repeated",
    "triaged",
    "intents",
    "tickets",
    "requests",
    "dead",
    "lost",
    "duplicates",
    "seconds",
]


class Up:
    """A running ``plaint up`` in a folder of traps."""

    def __init__(self, folder: Path, arguments: Sequence[str], settings: Mapping[str, str], stdin: bytes = b"") -> None:
        self._out, self._err = folder / "out", folder / "err"
        (folder / "in").write_bytes(stdin)
        with self._out.open("wb") as out, self._err.open("wb") as err, (folder / "in").open("rb") as given:
            self.process = subprocess.Popen(
                [PLAINT, "up", *arguments],
                stdin=given,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=environment({**settings, "PLAINT_INBOX__SECRET": SECRET}),
            )

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    def children(self) -> list[psutil.Process]:
        """All processes below it, by whoever was started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def child(self, *words: str) -> psutil.Process:
        """The stage whose command line holds these words; waits for it."""
        found: psutil.Process = self.wait_for(
            lambda: next((child for child in self.children() if _runs(child, words)), None), " ".join(words)
        )
        return found

    def wait_for(self, look: Callable[[], Any], what: str, limit_s: float = LIMIT_S / 2) -> Any:
        """What ``look`` finds as soon as it finds something."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := look():
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited for {what}, code {self.process.poll()}:\n{self.stderr[-5000:]}")

    def summary(self) -> dict[str, Any]:
        """What it sums up when it has ended by itself: the last line of its output."""
        self.process.wait(LIMIT_S)
        lines = self.stdout.splitlines()
        assert lines, self.stderr[-3000:]
        found: dict[str, Any] = json.loads(lines[-1])
        return found


def _runs(process: psutil.Process, words: Sequence[str]) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        line = process.cmdline()
        return "plaint" in line and all(word in line for word in words)
    return False


def gone(processes: Sequence[psutil.Process], limit_s: float) -> list[psutil.Process]:
    """Those that still run after so many seconds."""
    alive: list[psutil.Process] = psutil.wait_procs(processes, timeout=limit_s)[1]
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts ``plaint up``; what is left of it is killed after the test."""
    folder = trap(tmp_path / "elsewhere")
    started: list[Up] = []

    def run(*arguments: str, settings: Mapping[str, str] | None = None, stdin: bytes = b"") -> Up:
        # Of its own: two that start at once may both see the usual port free.
        started.append(Up(folder, arguments, {**SMALL, "PLAINT_INBOX__PORT": "0", **(settings or {})}, stdin))
        return started[-1]

    yield run
    for up in started:
        left = up.children()
        up.process.kill()
        up.process.wait()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def failing(*rules: dict[str, object]) -> dict[str, str]:
    """An inbox that fails so."""
    return {"PLAINT_INBOX__FAULTS": json.dumps({"rules": rules})}


@pytest.fixture
def everything(tmp_path: Path) -> dict[str, str]:
    """Routes that send every post to one queue, whatever the model says of it."""
    routes = tmp_path / "routes.yaml"
    routes.write_text("rules:\n  - {name: all, why: A test counts them., destinations: [service]}\n")
    return {"PLAINT_ROUTE__ROUTES": str(routes)}


def ask(address: str) -> Any:
    """What the inbox answers; nothing while it can't be reached."""
    with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=60) as answer:
        return json.loads(answer.read())
    return None


def test_the_samples_go_the_whole_way_and_are_summed_up_in_one_line(start: Callable[..., Up], tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    runtime = {"TMPDIR": str(temporary), "PLAINT_RUNTIME_DIR": str(tmp_path / "run")}
    up = start("--samples", *DONE, settings=runtime)
    found = up.summary()
    assert up.process.returncode == 0, up.stderr
    assert len(up.stdout.splitlines()) == 1
    assert [key for key in found if key in KEYS] == KEYS
    assert (found["read"], found["posts"], found["repeated"], found["triaged"]) == (200, 197, 3, 192)
    assert (found["lost"], found["duplicates"], found["dead"]) == (0, 0, {})
    assert sum(found["intents"].values()) == 192
    assert set(found["tickets"]) == {"helpdesk", "service", "marketing"}
    assert all(found["requests"][queue] >= count for queue, count in found["tickets"].items())
    assert "Traceback" not in up.stderr
    assert SECRET.removeprefix("whsec_") not in up.stderr
    assert [*temporary.glob("plaint*"), *(tmp_path / "run").iterdir()] == []


def test_posts_come_to_their_end_also_where_nobody_reads_what_is_said_of_them(
    everything: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "posts.jsonl").write_text('{"id": 1, "text": "my router is dead"}\n')
    journal = tmp_path / "inbox.journal"
    settings = {**SMALL, **everything, "PLAINT_INBOX__PORT": "0", "PLAINT_INBOX__JOURNAL": str(journal)}
    done = unheard("up", "--source", "file:posts.jsonl", "--exit-when-done", cwd=tmp_path, settings=settings)
    assert done.returncode == 0, done.stderr
    assert b'"op":"create"' in journal.read_bytes()


@pytest.mark.long
def test_every_bad_line_and_every_refused_ticket_is_a_dead_letter_and_nothing_is_lost(
    start: Callable[..., Up], tmp_path: Path, everything: dict[str, str]
) -> None:
    table, lines = tmp_path / "posts.csv", tmp_path / "posts.jsonl"
    flight = b"1,My flight was cancelled,ann\n"
    table.write_bytes(
        b"tweet_id,body,who\n" + flight + b'2,"Is there wifi, on board?",bob\n3,short\n' + flight + b"4,\xff,cy"
    )
    lines.write_bytes(b'{"id": "x", "text": "hi"}\n{"id": "y"\n{"text": "no id"}\n\n{"id": "z", "text": "  "}')
    mapped = "columns.id=tweet_id,columns.text=body,columns.author.handle=who,constants.network=x"
    refusing = failing({"do": "answer", "status": 400})
    up = start(
        "--source", f"file:{table},{mapped}", "--source", f"file:{lines}", *DONE, settings={**everything, **refusing}
    )
    found = up.summary()
    assert up.process.returncode == 0, up.stderr
    assert (found["read"], found["posts"], found["repeated"], found["triaged"]) == (9, 4, 1, 3)
    assert found["dead"] == {"unreadable_line": 2, "invalid_json": 1, "invalid_record": 1, "refused": 3}
    assert found["dropped"] == {"empty_text": 1}
    assert (found["lost"], found["duplicates"], found["tickets"]["service"]) == (0, 0, 0)


@pytest.mark.long
def test_a_receiver_that_says_it_took_what_it_did_not_take_is_found_out(
    start: Callable[..., Up], everything: dict[str, str]
) -> None:
    posts = b"".join(b'{"id": %d, "text": "My order never arrived"}\n' % number for number in range(3))
    lying = failing({"do": "answer", "status": 200, "taken": False})
    up = start("--source", "stdin", *DONE, settings={**everything, **lying}, stdin=posts)
    found = up.summary()
    assert up.process.returncode == 1, up.stderr
    assert (found["read"], found["triaged"], found["lost"], found["tickets"]["service"]) == (3, 3, 3, 0)


@pytest.mark.long
def test_a_run_whose_stages_and_inbox_are_killed_loses_nothing(
    start: Callable[..., Up], tmp_path: Path, everything: dict[str, str]
) -> None:
    posts = tmp_path / "posts.jsonl"
    posts.write_text(
        "".join(f'{{"id": {number}, "text": "My order {number} never arrived"}}\n' for number in range(250))
    )
    port = free_ports(1)[0]
    settings = {**everything, "PLAINT_INBOX__PORT": str(port)}
    up = start("--source", f"file:{posts},rate=30", *DONE, settings=settings)
    stats = f"http://127.0.0.1:{port}/api/stats"
    up.wait_for(lambda: (ask(stats) or {}).get("tickets", 0) > 20, "tickets")
    for words in (["run", "classify"], ["run", "route"], ["run", "deliver", "service"], ["inbox"]):
        up.child(*words).kill()
    found = up.summary()
    assert up.process.returncode == 0, up.stderr[-5000:]
    assert (found["read"], found["posts"], found["triaged"], found["tickets"]["service"]) == (250, 250, 250, 250)
    assert (found["lost"], found["duplicates"], found["dead"]) == (0, 0, {})
    assert up.stderr.count("starting it again") == 4


def test_a_stage_that_a_restart_cannot_mend_ends_the_run_with_its_code(start: Callable[..., Up]) -> None:
    up = start("--samples", *DONE, settings={"PLAINT_CLASSIFY__MODEL": "./nowhere"})
    assert up.process.wait(LIMIT_S) == 2
    assert up.stdout == ""
    assert "nowhere/manifest.json can't be read" in up.stderr
    assert "Traceback" not in up.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_nothing_outlives_it(start: Callable[..., Up], how: signal.Signals) -> None:
    port = free_ports(1)[0]
    up = start("--source", "stdin", settings={"PLAINT_INBOX__PORT": str(port)})
    up.wait_for(lambda: ask(f"http://127.0.0.1:{port}/api/stats"), "the inbox")
    up.child("run", "classify")
    # broker, classify, route, three deliver, inbox
    children = up.wait_for(lambda: len(found := up.children()) >= 7 and found, "all processes")
    up.process.send_signal(how)
    code = up.process.wait(ENDING_S)
    assert gone(children, ENDING_S) == []
    assert code == {signal.SIGKILL: -signal.SIGKILL}.get(how, 0)
    assert "Traceback" not in up.stderr


def test_a_run_whose_broker_is_killed_ends_with_the_code_of_that(start: Callable[..., Up], tmp_path: Path) -> None:
    up = start("--samples", *DONE)
    up.child("run", "classify")
    broker = up.wait_for(lambda: [child for child in up.children() if "tansu" in child.name()], "the broker")[0]
    broker.kill()
    assert up.process.wait(ENDING_S) == 128 + signal.SIGKILL
    assert "the broker ended with code -9, so everything ends" in up.stderr
    assert "\nTraceback" not in up.stderr


def test_a_run_that_is_ended_before_it_was_done_does_not_look_done(start: Callable[..., Up], tmp_path: Path) -> None:
    posts = tmp_path / "posts.jsonl"
    posts.write_text('{"id": 1, "text": "hello"}\n{"id": 2, "text": "hello"}\n')
    up = start("--source", f"file:{posts},rate=0.01", *DONE)
    up.child("run", "ingest")
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(ENDING_S) == 130
    assert up.stdout == ""


def test_who_cleans_temporary_files_by_age_takes_nothing_that_it_needs(
    start: Callable[..., Up], tmp_path: Path
) -> None:
    if shutil.which("systemd-tmpfiles") is None:
        pytest.skip("NOT TESTED WITH SYSTEMD-TMPFILES: it is not installed")
    temporary, rules, port = tmp_path / "tmp", tmp_path / "rules.conf", free_ports(1)[0]
    temporary.mkdir()
    (temporary / "old").touch()
    rules.write_text(f"d {temporary} - - - 0\n")  # whatever its age
    up = start(
        settings={"TMPDIR": str(temporary), "XDG_RUNTIME_DIR": "", "PLAINT_MONITORING__PORT": str(port)},
    )
    up.wait_for(lambda: is_ready(port), "all stages")
    before = set(temporary.rglob("*")) - {temporary / "old", temporary / ".ses"}  # ONNX Runtime writes .ses
    assert {"routes.yaml", "route.address", f"up-{up.process.pid}.json"} <= {path.name for path in before}
    subprocess.run(["systemd-tmpfiles", "--clean", rules], check=True, timeout=60)
    assert not (temporary / "old").exists()
    assert before <= set(temporary.rglob("*"))
    route = up.child("run", "route")
    route.kill()
    up.wait_for(lambda: up.child("run", "route").pid != route.pid and is_ready(port), "the router's return")


def is_ready(port: int) -> bool:
    """Whether it and all of its stages are ready."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60) as answer:
        return bool(answer.status == 200)
    return False
