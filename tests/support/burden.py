"""How busy this machine is with other things, for claims about time: they hold for one that has nothing else to do."""

import time

WORK_S = 0.05


def burden() -> float:
    """How many times as long as alone a piece of work takes now; 1.0 on a machine that is free.

    Seconds divided by it are about those of a free machine.
    """
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < WORK_S:
        pass
    return max(1.0, (time.monotonic() - began) / WORK_S)
