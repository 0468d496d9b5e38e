"""Stops one thread of another process while its others go on: a hang, as a debugger makes it."""

import ctypes
import os
from types import TracebackType
from typing import Self

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WAIT_ALL = 0x40000000


class Frozen:
    """Holds the main thread of process ``pid`` for as long as the block lasts, or until the process ends.

    Raises OSError where the system doesn't let us. Linux only; for one thread, which must not be the process's parent.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self._libc.ptrace.restype = ctypes.c_long
        self._is_gone = False

    def __enter__(self) -> Self:
        for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
            if self._libc.ptrace(request, self._pid, None, None) == -1:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        os.waitpid(self._pid, WAIT_ALL)  # it has stopped
        return self

    def is_gone(self) -> bool:
        """Whether the process has ended. Its parent hears of that only once we have asked."""
        if not self._is_gone:
            pid, status = os.waitpid(self._pid, WAIT_ALL | os.WNOHANG)
            self._is_gone = pid != 0 and not os.WIFSTOPPED(status)
        return self._is_gone

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self.is_gone():
            self._libc.ptrace(PTRACE_DETACH, self._pid, None, None)
