"""The supervisor with real children: that crash, hang, ignore SIGTERM, write nonsense and lose their parent."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from plaint.failures import EXIT_FAILED, EXIT_UNAVAILABLE
from plaint.local.supervisor import Child, RestartPolicy, Supervisor, python_module

REPOSITORY = Path(__file__).parents[2]
LIMIT_S = 60.0
QUICK = RestartPolicy(first_s=0.01, longest_s=0.05, exits=4, window_s=60)
READY = "print('up', flush=True)\n"
ENDS_WELL = (
    "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
)
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
WAIT = "while True: time.sleep(1)\n"


def child(name: str, code: str, **other: object) -> Child:
    return Child(name, (sys.executable, "-c", code), **other)  # type: ignore[arg-type]


async def until(condition: Callable[[], object], timeout_s: float = LIMIT_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - it asks about other processes
            await asyncio.sleep(0.01)


class Lines(list[str]):
    """What the supervisor wrote."""

    def of(self, name: str) -> list[str]:
        return [line.split(" | ", 1)[1] for line in self if line.split(" | ")[0].strip() == name]


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
async def start(lines: Lines) -> AsyncIterator[Callable[..., tuple[Supervisor, asyncio.Task[int]]]]:
    """Runs a supervisor; whatever is left is ended after the test."""
    running: list[tuple[Supervisor, asyncio.Task[int]]] = []

    def begin(
        *groups: list[Child], policy: RestartPolicy = QUICK, guard: Awaitable[int] | None = None
    ) -> tuple[Supervisor, asyncio.Task[int]]:
        supervisor = Supervisor(groups, policy, write=lines.append)
        running.append((supervisor, asyncio.create_task(supervisor.run(guard))))
        return running[-1]

    yield begin
    for supervisor, task in running:
        supervisor.stop()
        await asyncio.wait({task}, timeout=LIMIT_S)
        assert task.done()


Start = Callable[..., tuple[Supervisor, asyncio.Task[int]]]


async def test_output_is_forwarded_line_by_line_with_the_stage_name(start: Start, lines: Lines) -> None:
    speaks = textwrap.dedent("""
        import sys
        print("to stdout", flush=True)
        print("to stderr", file=sys.stderr, flush=True)
        sys.stdout.write("no newline")
    """)
    start([child("ingest", speaks, once=True), child("deliver helpdesk", ENDS_WELL + READY + WAIT)])
    await until(lambda: len(lines) == 4)
    assert lines.of("ingest") == ["to stdout", "to stderr", "no newline"]
    assert "ingest           | to stdout" in lines


async def test_what_a_child_writes_cannot_steer_the_terminal(start: Start, lines: Lines) -> None:
    start(
        [
            child(
                "a",
                r"import sys; sys.stdout.buffer.write(b'\x1b[2J\x1b]0;t\x07 \xff\x00 tab\t\xc2\x9b \xe2\x82\xac\r\n')",
                once=True,
            )
        ]
    )
    await until(lambda: lines)
    assert lines.of("a") == ["\\x1b[2J\\x1b]0;t\\x07 \ufffd\\x00 tab\t\\x9b €"]


async def test_a_line_without_end_neither_blocks_the_child_nor_grows(start: Start, lines: Lines) -> None:
    start([child("a", "print('x' * 5_000_000)\nprint('after')", once=True)])
    await until(lambda: lines and lines[-1].endswith("after"))
    assert max(map(len, lines)) < 200_000
    assert sum(len(line) for line in lines.of("a")) == 5_000_000 + len("after")


async def test_a_child_that_read_a_pipe_is_not_started_again_since_the_rest_of_it_is_gone(start: Start) -> None:
    _, task = start([child("ingest", "import os; os.kill(os.getpid(), 9)", once=True, stream=True)])
    assert await asyncio.wait_for(task, LIMIT_S) == 128 + 9


async def test_a_child_that_dies_is_started_again(start: Start, lines: Lines, tmp_path: Path) -> None:
    code = f"import os, sys\np = {str(tmp_path / 'n')!r}\nopen(p, 'a').write('x')\n" + textwrap.dedent("""
        if os.path.getsize(p) == 1: os.kill(os.getpid(), 9)
        if os.path.getsize(p) == 2: sys.exit(3)
    """)
    supervisor, task = start([child("classify", code + READY + "import time\n" + WAIT)])
    await until(lambda: lines.of("classify") == ["up"])
    assert supervisor.restarts == {"classify": 2}
    assert not task.done()


async def test_a_crash_loop_ends_everything_with_that_childs_code(start: Start, lines: Lines, tmp_path: Path) -> None:
    inbox_is_up = f"open({str(tmp_path / 'up')!r}, 'w').close()\n"
    crash_then = (
        f"import os, time\nwhile not os.path.exists({str(tmp_path / 'up')!r}): time.sleep(0.01)\nraise SystemExit(70)"
    )
    supervisor, task = start([child("classify", crash_then)], [child("inbox", ENDS_WELL + inbox_is_up + WAIT)])
    assert await asyncio.wait_for(task, LIMIT_S) == 70
    assert supervisor.restarts["classify"] == QUICK.exits - 1
    assert lines.of("inbox") == ["bye"]


async def test_a_child_that_is_killed_in_a_loop_gives_the_shells_code(start: Start) -> None:
    _, task = start([child("classify", "import os; os.kill(os.getpid(), 9)")])
    assert await asyncio.wait_for(task, LIMIT_S) == 128 + 9


async def test_a_command_that_does_not_exist_is_told_and_given_up(start: Start, lines: Lines) -> None:
    _, task = start([Child("classify", ("/nowhere/plaint-x",))])
    assert await asyncio.wait_for(task, LIMIT_S) == 127
    assert "/nowhere/plaint-x: No such file or directory" in lines.of("classify")


async def test_a_wrong_configuration_is_not_tried_again(start: Start) -> None:
    supervisor, task = start([child("classify", "raise SystemExit(78)")])
    assert await asyncio.wait_for(task, LIMIT_S) == 78
    assert supervisor.restarts == {"classify": 0}


async def test_exits_far_apart_are_no_crash_loop_and_waits_grow_only_within_the_window() -> None:
    now, waits = 0.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += 40 if len(waits) % 3 == 0 else seconds
        if len(waits) == 9:
            supervisor.stop()
        await asyncio.sleep(0)

    policy = RestartPolicy(first_s=1, longest_s=3, exits=4, window_s=30)
    supervisor = Supervisor(
        [[child("a", "raise SystemExit(1)")]],
        policy,
        write=lambda _: None,
        clock=lambda: now,
        sleep=sleep,
        dice=lambda: 0.0,
    )
    assert await supervisor.run() == 0
    assert waits == [1, 2, 3] * 3


def test_waits_are_scattered_over_half_of_themselves() -> None:
    policy = RestartPolicy(first_s=1, longest_s=8)
    assert [policy.delay(number, lambda: 0.0) for number in range(1, 6)] == [1, 2, 4, 8, 8]
    assert policy.delay(3, lambda: 0.999) == pytest.approx(2, rel=0.01)


async def test_a_child_that_runs_once_is_done_with_code_0(start: Start, lines: Lines) -> None:
    supervisor, task = start([child("ingest", "pass", once=True)], [child("inbox", ENDS_WELL + READY + WAIT)])
    await asyncio.wait_for(supervisor.finished(), LIMIT_S)
    await until(lambda: lines.of("inbox"))
    assert not task.done()
    supervisor.stop()
    assert await asyncio.wait_for(task, LIMIT_S) == 0
    assert supervisor.restarts == {"ingest": 0, "inbox": 0}


async def test_a_child_that_runs_once_is_started_again_until_it_succeeds(start: Start, tmp_path: Path) -> None:
    code = f"import os, sys\np = {str(tmp_path / 'n')!r}\nopen(p, 'a').write('x')\nsys.exit(os.path.getsize(p) < 3)"
    supervisor, _ = start([child("ingest", code, once=True)])
    await asyncio.wait_for(supervisor.finished(), LIMIT_S)
    assert supervisor.restarts == {"ingest": 2}


async def test_groups_end_one_after_the_other_in_the_order_of_the_way(start: Start, lines: Lines) -> None:
    slow = ENDS_WELL.replace("lambda *_: (", "lambda *_: (time.sleep(0.3), ") + READY + WAIT
    supervisor, task = start(
        [child("ingest", slow)], [child("classify", slow), child("classify 2", slow)], [child("inbox", slow)]
    )
    await until(lambda: len(lines) == 4)
    supervisor.stop()
    assert await asyncio.wait_for(task, LIMIT_S) == 0
    ended = [line.split(" | ")[0].strip() for line in lines if line.endswith("bye")]
    assert ended[0] == "ingest"
    assert sorted(ended[1:3]) == ["classify", "classify 2"]
    assert ended[3] == "inbox"


async def test_a_child_that_ignores_sigterm_is_killed_with_its_own_children(start: Start, lines: Lines) -> None:
    code = STUBBORN + textwrap.dedent("""
        import subprocess, sys
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
    """)
    supervisor, task = start([child("a", code + WAIT, grace_s=0.3)])
    await until(lambda: lines)
    grandchild = int(lines.of("a")[0])
    began = time.monotonic()
    supervisor.stop()
    assert await asyncio.wait_for(task, LIMIT_S) == 0
    assert 0.3 <= time.monotonic() - began < 30, "its own child would take a minute"
    await until(
        lambda: not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE
    )


async def test_a_stop_while_waiting_to_restart_starts_nothing(start: Start, lines: Lines) -> None:
    supervisor, task = start(
        [child("a", READY + "raise SystemExit(1)")], policy=RestartPolicy(first_s=60, longest_s=60)
    )
    await until(lambda: lines)
    await asyncio.sleep(0.1)
    supervisor.stop()
    assert await asyncio.wait_for(task, LIMIT_S) == 0
    assert lines.of("a") == ["up"]


async def test_stopping_at_once_leaves_no_process(start: Start) -> None:
    before = {process.pid for process in psutil.Process().children()}
    supervisor, task = start([child("a", STUBBORN + WAIT, grace_s=0.2), child("b", STUBBORN + WAIT, grace_s=0.2)])
    await asyncio.sleep(0)
    supervisor.stop()
    assert await asyncio.wait_for(task, LIMIT_S) == 0
    assert {process.pid for process in psutil.Process().children()} == before


async def test_the_end_of_the_broker_ends_everything(start: Start, lines: Lines) -> None:
    gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    _, task = start(
        [child("a", STUBBORN + READY + WAIT)],
        policy=RestartPolicy(orphan_grace_s=0.2),
        guard=gone,
    )
    await until(lambda: lines)
    gone.set_result(0)
    assert await asyncio.wait_for(task, LIMIT_S) == EXIT_UNAVAILABLE


PROGRAM = '''
import asyncio, logging, sys
from plaint.failures import EXIT_FAILED, EXIT_UNAVAILABLE
from plaint.local.supervisor import Child, Supervisor
logging.basicConfig(level="INFO")
code = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: {on_term})
signal.signal(signal.SIGINT, lambda *_: print("INTERRUPTED", flush=True))
print("pid", os.getpid(), flush=True)
while True: time.sleep(100)
"""
groups = [[Child(name, (sys.executable, "-c", code))] for name in "ab"]
sys.exit(asyncio.run(Supervisor(groups).run()))
'''


def program(on_term: str = "sys.exit(0)") -> tuple[subprocess.Popen[str], list[int]]:
    """A supervisor as a process of its own, in its own group as under a terminal, and its two children."""
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("{on_term}", on_term)],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stderr is not None
    pids: list[int] = []
    while len(pids) < 2:
        words = running.stderr.readline().split()
        if "pid" in words:
            pids.append(int(words[-1]))
    return running, pids


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_gone(pids: list[int], timeout_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not all(map(gone, pids)):
        assert time.monotonic() < deadline, "a child outlived its parent"
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with a killed parent")
def test_children_die_with_a_parent_that_is_killed() -> None:
    running, pids = program()
    running.kill()
    running.communicate(timeout=LIMIT_S)
    wait_gone(pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_with_code_0(number: signal.Signals) -> None:
    running, pids = program()
    running.send_signal(number)
    _, said = running.communicate(timeout=LIMIT_S)
    assert running.returncode == 0, said
    assert all(map(gone, pids))


def test_the_terminals_ctrl_c_reaches_only_the_parent() -> None:
    running, pids = program()
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=LIMIT_S)
    assert running.returncode == 0
    assert "INTERRUPTED" not in said
    assert all(map(gone, pids))


def test_a_second_signal_kills_at_once() -> None:
    running, pids = program(on_term="print('not now', flush=True)")
    assert running.stderr is not None
    running.send_signal(signal.SIGTERM)
    while "not now" not in running.stderr.readline():
        pass
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=LIMIT_S)
    assert running.returncode == 0
    assert all(map(gone, pids))


async def test_a_python_child_does_not_import_from_the_working_directory(
    start: Start, lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "this.py").write_text("print('foreign')")
    monkeypatch.chdir(tmp_path)
    start([Child("a", python_module("this"), once=True)])
    await until(lambda: lines)
    assert lines.of("a")[0].startswith("The Zen of Python")


async def test_a_fault_of_the_supervisor_itself_ends_everything(start: Start, lines: Lines) -> None:
    async def broken() -> int:
        raise ValueError("no broker to watch")

    _, task = start([child("a", ENDS_WELL + READY + WAIT)], guard=broken())
    assert await asyncio.wait_for(task, LIMIT_S) == EXIT_FAILED
