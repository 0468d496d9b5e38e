"""Children that do not outlive plaint, not even when it is killed with -9.

On Linux a child is started through this file, run by a bare interpreter: it asks the kernel to kill the child when its
parent dies (``PR_SET_PDEATHSIG``) and then becomes the command, so the process id stays the same. A ``preexec_fn`` would
do the same inside a fork of a process with threads, which may deadlock. Two things to know:

- the kernel means the *thread* that started the child: start children from the main thread only (``leashed`` refuses others);
- macOS has no such request: a plaint that is killed with -9 there leaves its children, to be ended by hand. Every other
  end (SIGTERM, Ctrl-C, a crash) ends the children on both.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PARENT_GONE = 75


def leashed(argv: list[str]) -> list[str]:
    """The command that runs ``argv`` and dies with this process. Raises RuntimeError off the main thread."""
    import threading

    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a child dies with the thread that starts it: start it from the main thread")
    if sys.platform != "linux":
        return argv
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]


def main(parent: int, command: list[str]) -> int:
    """Tie this process to its parent and become the command; returns only what went wrong."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        print(f"prctl: {os.strerror(ctypes.get_errno())}", file=sys.stderr)  # noqa: T201
        return 1
    if os.getppid() != parent:  # it died before the request was made
        return PARENT_GONE
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 127


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
