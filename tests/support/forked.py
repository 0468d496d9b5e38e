"""``plaint`` in a process of its own that is forked from one which has imported it: a tenth of what a start costs."""

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from plaint.cli import COMMANDS, main

_HEAVY = {"classify", "up"}
"""They bring the inference runtime along, which most commands get by without."""
for _name, (_place, _) in COMMANDS.items():
    if _name not in _HEAVY:
        import_module(_place.partition(":")[0])

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code, -N if signal N ended it, and all that it wrote. ``code`` None: it goes on."""

    code: int | None
    said: str


def forked(words: Sequence[str], cwd: Path, environment: Mapping[str, str], limit_s: float) -> Done:
    """Run ``plaint`` with these words; after ``limit_s`` seconds it is killed."""
    said = cwd / f"said-{abs(hash(tuple(words)))}"
    process = _CONTEXT.Process(target=_run, args=(list(words), cwd, dict(environment), said), daemon=True)
    process.start()
    process.join(limit_s)
    code = process.exitcode
    process.kill()
    process.join()
    return Done(code, said.read_text(errors="replace") if said.exists() else "")


def _run(words: list[str], cwd: Path, environment: dict[str, str], said: Path) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout = os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.argv = ["plaint", *words]
    try:
        main()
    finally:
        sys.stdout.flush()
