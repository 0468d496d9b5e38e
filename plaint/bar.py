"""A bar with the time left, for a person who waits."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from plaint.logs import escaped


class Bar:
    """Steps that are done, the loss, and the time left. A ``models.training.listener.Listener``."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("step {task.completed:,.0f}/{task.total:,.0f}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, done: int, steps: int, loss: float) -> None:
        """See Listener."""
        if self._task is None:
            # Of a run that is taken up again, the steps that it had done say nothing of its pace.
            self._task = self._progress.add_task("", total=steps, completed=done - 1, loss=loss)
        self._progress.update(self._task, completed=done, total=steps, loss=loss)

    def say(self, line: str) -> None:
        """See Listener."""
        self._progress.console.print(escaped(line), markup=False, highlight=False)
