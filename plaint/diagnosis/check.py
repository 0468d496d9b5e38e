"""A check of the doctor's: what it looked at, what it found; and how checks are run, none of them for longer than it may."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from plaint.diagnosis.finding import Finding, fail

State = Literal["ok", "warn", "fail", "skipped"]


class Check(BaseModel):
    """``looked`` says what was looked at, and what was seen where all is well; ``skipped`` why it wasn't looked at."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: State
    looked: str = ""
    findings: tuple[Finding, ...] = ()
    took_s: float = 0.0


def checked(name: str, looked: str, findings: Sequence[Finding] = ()) -> Check:
    """A check that was done."""
    state: State = "fail" if any(one.severity == "fail" for one in findings) else "warn" if findings else "ok"
    return Check(name=name, state=state, looked=looked, findings=tuple(findings))


def skipped(name: str, why: str) -> Check:
    """A check that could not, or need not, be done."""
    return Check(name=name, state="skipped", looked=why)


@dataclass(frozen=True)
class Task:
    """A check to be done in at most ``limit_s``. ``mend`` is for the case that it hangs."""

    name: str
    run: Callable[[], Check]
    limit_s: float
    mend: str


class Running:
    """A task in a thread of its own, which is left behind if it hangs: it dies with the process."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._found: Check | None = None
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"check {task.name}", daemon=True)
        self._thread.start()

    def result(self) -> Check:
        """Its check. A hang, or a fault in the check itself, is a finding too."""
        self._thread.join(max(0.0, self._task.limit_s - (time.monotonic() - self._began)))
        took = time.monotonic() - self._began
        if self._found is None:
            what = f"took longer than {self._task.limit_s:g} s"
            return checked(self._task.name, "", [fail(self._task.name, what, self._task.mend)]).model_copy(
                update={"took_s": took}
            )
        return self._found

    def _run(self) -> None:
        try:
            found = self._task.run()
        except Exception as error:
            what = f"can't be looked at: {type(error).__name__}: {error}"
            found = checked(self._task.name, "", [fail(self._task.name, what, self._task.mend)])
        self._found = found.model_copy(update={"took_s": time.monotonic() - self._began})
