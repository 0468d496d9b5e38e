"""What reaches the log of what libraries say."""

import io
import logging
import subprocess
import sys
import time

from plaint.logs import KNOWN, QUIET_S, Sparing

NOON = time.mktime((2026, 5, 1, 12, 0, 0, 0, 0, -1))


class Log:
    """A log with a clock of its own."""

    def __init__(self) -> None:
        self.now = NOON
        self._written = io.StringIO()
        self._handler = logging.StreamHandler(self._written)
        self._handler.addFilter(Sparing(lambda: self.now))

    def say(self, name: str, text: str, *values: object) -> None:
        self._handler.handle(logging.LogRecord(name, logging.ERROR, "", 0, text, values, None))

    @property
    def lines(self) -> list[str]:
        return self._written.getvalue().splitlines()


def test_what_a_kafka_client_says_again_and_again_is_written_once_in_a_while_with_how_often_it_came() -> None:
    log = Log()
    for _ in range(38):
        log.say("aiokafka", "Unable connect to node with id %s", 1)
        log.say("kafka.net.manager", "Bootstrap connection failed, 100%")
    log.say("aiokafka", "Unable connect to node with id %s", 2)
    log.now += QUIET_S
    log.say("aiokafka", "Unable connect to node with id %s", 1)
    log.now += QUIET_S
    log.say("aiokafka", "Unable connect to node with id %s", 1)
    assert log.lines == [
        "Unable connect to node with id 1",
        "Bootstrap connection failed, 100%",
        "Unable connect to node with id 2",
        "Unable connect to node with id 1 (37 times more since 12:00:00)",
        "Unable connect to node with id 1",
    ]


def test_what_plaint_says_is_written_each_time() -> None:
    log = Log()
    for _ in range(3):
        log.say("plaint.workers.deliver", "the destination is disabled")
    assert len(log.lines) == 3


def test_lines_that_are_all_different_are_not_remembered_for_ever() -> None:
    log = Log()
    for number in range(KNOWN + 1):
        log.say("aiokafka", "Fetch offset %d is out of range", number)
    log.say("aiokafka", "Fetch offset %d is out of range", 0)
    assert len(log.lines) == KNOWN + 2


def test_a_step_of_kafka_python_that_a_busy_machine_made_slow_is_no_warning() -> None:
    script = """
import time
from kafka.net.selector import NetworkSelector
from plaint.logs import setup_logging

async def slow():
    time.sleep(0.2)

setup_logging()
selector = NetworkSelector()
selector.run(slow)
selector.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
