"""The board on a real terminal, beside a real run: drawn, resized, plain where it can't be drawn, and gone without a trace."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.command import PLAINT, environment
from tests.support.kafka_process import REPOSITORY
from tests.support.terminal import Terminal

pytestmark = pytest.mark.timeout(240)

TINY = next(iter(sorted((REPOSITORY / "tests" / "models").glob("tiny-*"))), None)
HOSTILE = "heater burns \x1b[2J\x1b]0;t\x07 [b]x[/b] \u202eg\r\nfaked line, nobody answers, help me! 🔥"


def settings(folder: Path, **more: str) -> dict[str, str]:
    """Those of a run of the test's own, that nobody else finds."""
    own = {"PLAINT_RUNTIME_DIR": str(folder / "runtime"), "PLAINT_INBOX__PORT": "0", "PLAINT_DOOR__PORT": "0"}
    found = environment({**own, "PLAINT_MONITORING__PORT": "0", **more})
    return {name: value for name, value in found.items() if name not in ("NO_COLOR", "COLUMNS", "LINES", "TERM")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """That of a run without a board, which others look at."""
    folder = tmp_path_factory.mktemp("up")
    posts = [{"id": f"{number}", "text": f"{HOSTILE} {number}"} for number in range(30)]
    (folder / "posts.jsonl").write_text("\n".join(map(json.dumps, posts)))
    arguments: list[str | Path] = [PLAINT, "up", "--source", f"file:{folder / 'posts.jsonl'}"]
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=out, cwd=folder, env=settings(folder))
    try:
        deadline = time.monotonic() + 100
        while "still up" not in (log := (folder / "log").read_text()):
            assert process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.1)
        yield folder
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def look(folder: Path) -> Iterator[Callable[..., Terminal]]:
    """``plaint board`` on a terminal."""
    opened: list[Terminal] = []

    def start(*arguments: str, columns: int = 80, rows: int = 24, **env: str) -> Terminal:
        argv: list[str | Path] = [PLAINT, "board", *arguments]
        opened.append(Terminal(argv, {**settings(folder), **env}, folder, columns, rows))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.__exit__(None, None, None)


def is_whole(terminal: Terminal) -> bool:
    return all(word in terminal.text for word in ("all well", "posts/s", "complaint", "deliver-service", "faked line"))


def test_it_shows_rate_intents_stages_latency_and_urgent_posts_on_80_by_24(look: Callable[..., Terminal]) -> None:
    terminal = look()
    terminal.until(is_whole)
    terminal.until(lambda t: "p99" in t.text and " s  urgent" in t.text)
    assert "classify           ok" in terminal.text
    urgent = terminal.lines[terminal.lines.index(" Urgent now") + 1]
    assert "heater burns \\x1b[2J\\x1b]0;t\\x07 [b]x[/b] \\u202eg faked line" in urgent
    assert b"\x1b]0;" not in terminal.raw
    assert "faked" not in [line[:6].strip() for line in terminal.lines]
    assert terminal.end() == 130
    assert terminal.is_restored


def test_it_follows_the_size_of_the_window(look: Callable[..., Terminal]) -> None:
    terminal = look(columns=120, rows=40)
    terminal.until(is_whole)
    for columns, rows in ((80, 24), (50, 16), (160, 50)):
        terminal.resize(columns, rows)
        terminal.until(lambda t: t.lines[0].startswith(" plaint") and "posts/s" in t.lines[1] and "Stages" in t.text)
        terminal.until(lambda t, rows=rows: "Urgent now" in t.text or rows < 20)  # type: ignore[misc]
        assert sum("Stages" in line for line in terminal.lines) == 1
    terminal.until(is_whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_leaves_the_terminal_as_it_was(look: Callable[..., Terminal], number: signal.Signals) -> None:
    terminal = look()
    terminal.until(is_whole)
    assert terminal.end(number) == 130
    assert terminal.is_restored
    assert b"Traceback" not in terminal.raw


def test_a_stopped_board_gives_the_terminal_back_until_it_goes_on(look: Callable[..., Terminal]) -> None:
    terminal = look()
    terminal.until(is_whole)
    os.kill(terminal.pid, signal.SIGTSTP)
    terminal.until(lambda t: psutil.Process(t.pid).status() == psutil.STATUS_STOPPED and t.is_restored)
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.until(lambda t: not t.is_restored and is_whole(t))
    assert terminal.end() == 130
    assert terminal.is_restored


def test_without_colour_it_says_the_same(look: Callable[..., Terminal]) -> None:
    terminal = look(NO_COLOR="1")
    terminal.until(is_whole)
    assert not any(colour in terminal.raw for colour in (b"\x1b[31m", b"\x1b[32m", b"\x1b[1;31m", b";5;"))


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": "unknown"}], ids=lambda env: env["TERM"])
def test_where_nothing_can_be_drawn_it_writes_lines(look: Callable[..., Terminal], env: dict[str, str]) -> None:
    terminal = look(**env)
    terminal.until(lambda t: "posts/s" in t.text and "classify ok" in t.text.replace("\n", ""))
    assert b"\x1b" not in terminal.raw
    assert terminal.end() == 130


def test_it_costs_less_than_two_hundredths_of_a_core(
    look: Callable[..., Terminal], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = look()
    terminal.until(is_whole)
    process = psutil.Process(terminal.pid)
    shares: list[float] = []
    while len(shares) < 4 and min(shares, default=1.0) >= 0.02:  # a busy machine makes the same work dearer
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        terminal.until(lambda t, began=began: time.monotonic() - began > 5)  # type: ignore[misc]
        shares.append((sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began))
    with capsys.disabled():
        print(f"\nthe board takes {min(shares):.1%} of a core")
    assert min(shares) < 0.02


def test_once_writes_a_line_for_a_script(folder: Path) -> None:
    done = subprocess.run(
        [PLAINT, "board", "--once"], capture_output=True, cwd=folder, env=settings(folder), timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1
    assert b"urgent" in done.stdout
    assert b"classify ok" in done.stdout


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [
        ("ascii", ["board", "--once"]),
        ("latin-1", ["board", "--once"]),
        ("latin-1", ["tail", "posts", "--since", "1h", "-n", "1"]),
        ("latin-1", ["tail", "posts", "--since", "1h", "-n", "1", "--json"]),
    ],
    ids=lambda given: given if isinstance(given, str) else " ".join(given),
)
def test_a_locale_that_lacks_signs_ends_no_command_and_breaks_no_json(
    folder: Path, encoding: str, arguments: list[str]
) -> None:
    env = settings(folder, PYTHONIOENCODING=encoding)
    done = subprocess.run([PLAINT, *arguments], capture_output=True, cwd=folder, env=env, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    line = done.stdout.decode(encoding)
    assert len(line.splitlines()) == 1
    if "--json" in arguments:
        assert "help me! 🔥" in json.loads(line)["text"]


def test_whoever_reads_no_more_of_its_lines_makes_it_no_failure(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [PLAINT, "board", "--once"],
            stdout=closed,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=settings(folder),
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_a_run_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = subprocess.run([PLAINT, "board"], capture_output=True, cwd=tmp_path, env=settings(tmp_path), timeout=60)
    assert (done.returncode, done.stdout) == (69, b"")
    assert b"no `plaint up` runs here; start one in another terminal" in done.stderr


def test_a_script_is_told_that_there_is_nobody_to_tell_of(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        own = settings(tmp_path, PLAINT_KAFKA__BROKERS='["127.0.0.1:9"]')
        done = subprocess.run(
            [PLAINT, "board", "--once", "--at", nobody], capture_output=True, cwd=tmp_path, env=own, timeout=60
        )
    assert (done.returncode, done.stdout) == (69, b"")
    assert f"{nobody} does not tell".encode() in done.stderr


def test_up_draws_it_on_a_terminal_and_writes_its_lines_when_it_ends(tmp_path: Path) -> None:
    own = settings(tmp_path, PLAINT_CLASSIFY__MODEL=str(TINY))
    with Terminal([PLAINT, "up", "--samples", "--exit-when-done"], own, tmp_path) as terminal:
        terminal.until(lambda t: "Stages" in t.text and "classify           ok" in t.text)
        assert terminal.lines[0].startswith(" plaint")
        assert not any(line.startswith(("classify  ", "route  ")) for line in terminal.lines[:12])
        assert terminal.wait(120) == 0
        assert terminal.is_restored
        after = terminal.raw.rpartition(b"\x1b[?1049l")[2].decode()
        for said in ("inbox: http://127.0.0.1:", "200 posts read", "is ours", "lost: 0"):
            assert said in after


def test_up_writes_plain_lines_where_no_board_is_wanted(tmp_path: Path) -> None:
    own = settings(tmp_path, PLAINT_CLASSIFY__MODEL=str(TINY))
    with Terminal([PLAINT, "up", "--no-board"], own, tmp_path) as terminal:
        terminal.until(lambda t: b"inbox: http://127.0.0.1:" in t.raw and b"is ours" in t.raw)
        assert terminal.end() == 0
        assert b"\x1b" not in terminal.raw


def test_up_says_where_a_board_that_was_asked_for_can_not_be_drawn(tmp_path: Path) -> None:
    done = subprocess.run(
        [PLAINT, "up", "--board"], capture_output=True, cwd=tmp_path, env=settings(tmp_path), timeout=60
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--board needs a terminal" in done.stderr
