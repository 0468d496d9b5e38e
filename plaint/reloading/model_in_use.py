"""Which model the classify workers of this user on this machine label by; ``plaint up`` tells what its worker told it."""

from pathlib import Path
from typing import ClassVar, Literal

from plaint.reloading.in_use import InUse


class ModelInUse(InUse):
    """The model of one process, and of the last try to load another: the one ``before`` it, and whether it ``changed``.

    ``place`` is the folder of its weights, or what the settings name. ``named`` is what the settings of that process name,
    which wins over what was chosen in its ``folder``; empty where they name none.
    """

    kind: ClassVar[str] = "model"
    answers_within_s: ClassVar[float] = 360.0

    role: Literal["up", "classify"]
    place: str = ""
    named: str = ""
    folder: Path
    before: str = ""
    changed: bool = False

    def takes_choices_of(self, folder: Path) -> bool:
        """Whether what is chosen in this folder of models is what that process loads."""
        return not self.named and self.folder == folder.resolve()
