"""Stops one thread of another process while its others go on: a hang, as a debugger makes it."""

import ctypes
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

PTRACE_CONT, PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 7, 17, 0x4206, 0x4207
WAIT_ALL = 0x40000000


class Frozen:
    """Holds a thread (its system's number; a process's for its main one) while the block lasts, or until its process ends.

    It is caught where it waits: one that is caught while it computes holds Python's lock, and so the others with it.
    Raises OSError where the system doesn't let us, or the thread never waits. Linux only; for one thread, which must
    not be the process's parent.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self._libc.ptrace.restype = ctypes.c_long
        self._is_gone = False

    def __enter__(self) -> Self:
        self._ptrace(PTRACE_SEIZE)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            waits = self._waits_in()
            self._ptrace(PTRACE_INTERRUPT)
            os.waitpid(self._pid, WAIT_ALL)  # it has stopped
            if waits and waits == self._call():
                return self
            self._ptrace(PTRACE_CONT)
            time.sleep(0.01)
        raise OSError(f"thread {self._pid} is never caught waiting")

    def _ptrace(self, request: int) -> None:
        if self._libc.ptrace(request, self._pid, None, None) == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def _waits_in(self) -> str:
        """The system call in which it sleeps; empty if it does not."""
        call = self._call()
        state = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0]
        return call if state == "S" and call == self._call() else ""

    def _call(self) -> str:
        """Its system call, with arguments and place."""
        return Path(f"/proc/{self._pid}/syscall").read_text()

    def is_gone(self) -> bool:
        """Whether the process has ended. Its parent hears of that only once we have asked."""
        if not self._is_gone:
            pid, status = os.waitpid(self._pid, WAIT_ALL | os.WNOHANG)
            self._is_gone = pid != 0 and not os.WIFSTOPPED(status)
        return self._is_gone

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self.is_gone():
            self._libc.ptrace(PTRACE_DETACH, self._pid, None, None)
