"""A stage that can't go on ends, whatever its log does."""

import subprocess
import sys

SCRIPT = """
import os
from contextlib import suppress
from plaint.logs import setup_logging
from plaint.workers.last_moment import fatal

setup_logging()
if {is_full}:
    os.set_blocking(2, False)
    with suppress(BlockingIOError):
        while True:
            os.write(2, b"." * 4096)
    os.set_blocking(2, True)
fatal(ValueError("the broker took nothing"))
"""


def test_a_log_that_nobody_reads_does_not_keep_a_broken_stage_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT.format(is_full=True)], stderr=subprocess.PIPE) as process:
        assert process.wait(timeout=60) == 70


def test_a_broken_stage_says_why_it_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(is_full=False)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 70
    assert "ends at once: ValueError: the broker took nothing" in done.stderr


def test_a_broken_stage_ends_also_where_no_thread_can_be_started() -> None:
    refusing = "import _thread, threading\ndef refuse(*_): raise RuntimeError\nthreading._start_new_thread = refuse\n"
    script = SCRIPT.format(is_full=False).replace("fatal(ValueError", refusing + "fatal(ValueError")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.returncode == 70
