"""How ``plaint up`` ends while its supervisor does not heed signals yet, or no more: as by Ctrl-C, and not on the spot.

On the spot would leave the run's folder, and on macOS the broker.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def ended_like_ctrl_c(hung_up: Callable[[], bool]) -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt meanwhile, and so does SIGHUP unless ``hung_up`` says that it meant something else.

    One that was ignored already (nohup) stays ignored. Main thread only.
    """

    def end(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM or not hung_up():
            signal.default_int_handler(number, frame)

    heeded = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
