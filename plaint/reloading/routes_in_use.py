"""Which routes the processes of this user on this machine route by: ``plaint up`` and each route worker."""

from pathlib import Path
from typing import ClassVar, Literal

from plaint.reloading.in_use import InUse


class RoutesInUse(InUse):
    """The routes of one process; ``destinations`` are those that they may name.

    ``file`` is the path that it reads, whole; where that is a link, what it leads to may change meanwhile.
    """

    kind: ClassVar[str] = "routes"
    answers_within_s: ClassVar[float] = 120.0

    role: Literal["up", "route"]
    file: Path
    destinations: tuple[str, ...]

    @classmethod
    def here(
        cls, role: Literal["up", "route"], file: Path, version: str, destinations: tuple[str, ...]
    ) -> "RoutesInUse":
        """Of this process, which has just read them."""
        return cls(role=role, file=file.absolute(), version=version, destinations=destinations)
