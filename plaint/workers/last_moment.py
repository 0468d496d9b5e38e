"""How a stage ends that can't go on, or that was told to end and doesn't: at once, since waiting would hide it.

Nothing is lost: the next process reads again what was not acknowledged.
"""

import threading
from typing import NoReturn

from plaint.monitoring.stall import end_process

AT_ONCE = "ends at once"
STOP_S = 28.0
"""What a batch under way, and what Kafka has to take and acknowledge then, get. Supervisors often wait for 30 s."""


def fatal(error: BaseException) -> NoReturn:
    """Say why and end with code 70: going on would acknowledge what is not written."""
    end_process(str(error), f"{AT_ONCE}: {type(error).__name__}", error)


def end_within(seconds: float) -> None:
    """End this process with code 70 so many seconds from now, should it still run then, as while Kafka is away.

    A thread sees to it: what hangs may be the event loop's last task, or whoever waits for it.
    """
    why = (
        f"it was told to end {seconds:.0f} s ago and is not done, is Kafka away? What is not acknowledged is read again"
    )
    timer = threading.Timer(seconds, end_process, (why, AT_ONCE))
    timer.daemon = True
    timer.start()
