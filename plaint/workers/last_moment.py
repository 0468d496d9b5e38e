"""When a stage that was told to end does so at the latest: while Kafka is away nothing in it comes to an end by itself."""

import threading

from plaint.monitoring.stall import end_process

STOP_S = 28.0
"""What a batch under way, and what Kafka has to take and acknowledge then, get. Supervisors often wait for 30 s."""


def end_within(seconds: float) -> None:
    """End this process with code 70 so many seconds from now, should it still run then.

    A thread sees to it: what hangs may be the event loop's last task, or whoever waits for it. Nothing is lost, since the
    next process reads again what was not acknowledged.
    """
    why = (
        f"it was told to end {seconds:.0f} s ago and is not done, is Kafka away? What is not acknowledged is read again"
    )
    timer = threading.Timer(seconds, end_process, (why, "ends at once"))
    timer.daemon = True
    timer.start()
