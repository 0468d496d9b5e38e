"""What SIGHUP means: read routes and model again, or, where the terminal was closed, end.

nginx, Prometheus and Vector read their files again on SIGHUP, always. A terminal that is closed sends it too, and what was
started in it would run on unseen, with a broker and an inbox. So the signal ends a process whose terminal is gone, and
only that one: with a terminal that is still there, without one (systemd, a container, cron) and under nohup it reads
them again.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger(__name__)


class Hangup:
    """Tells the two meanings apart. Made when the process starts: it notes whether there is a terminal to lose."""

    def __init__(self) -> None:
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup
        self._had_terminal = not is_ignored and has_terminal()

    def means_end(self) -> bool:
        """Whether a SIGHUP that just came was the end of the terminal."""
        return self._had_terminal and not has_terminal()


def has_terminal() -> bool:
    """Whether this process has a controlling terminal that still works. Of a closed one /dev/tty can't be opened."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def on_hangup(act: Callable[[], None]) -> None:
    """Call ``act`` in a thread of its own after each SIGHUP; those that come meanwhile are one. Main thread only.

    What it raises is logged, and the next signal calls it again.
    """
    wanted: SimpleQueue[None] = SimpleQueue()  # its put may be called by a signal handler, an Event's set may not

    def work() -> None:
        while True:
            wanted.get()
            while not wanted.empty():
                wanted.get()
            try:
                act()
            except Exception:
                log.exception("what SIGHUP asked for failed")

    signal.signal(signal.SIGHUP, lambda *_: wanted.put(None))
    threading.Thread(target=work, name="hangup", daemon=True).start()


def reload_on_hangup(hangup: Hangup, reload: Callable[[], object]) -> None:
    """Call ``reload`` after each SIGHUP, as `on_hangup` does; one that means the end ends this process. Main thread only."""

    def hung_up() -> None:
        if hangup.means_end():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            reload()

    on_hangup(hung_up)
