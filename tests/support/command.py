"""``plaint`` as somebody runs it: the installed command, an environment of its own, a folder that holds a trap.

Imports nothing of plaint's.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PLAINT = Path(sys.executable).with_name("plaint")
"""The command that an installation puts beside Python."""
LIMIT_S = 120


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment with these settings of plaint and no others."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PLAINT_", "PYTHON"))}
    return {**own, **(settings or {})}


def trap(folder: Path) -> Path:
    """``folder``, with packages named like plaint's that fail when they are imported."""
    for name in ("schemas", "models", "ingest", "classify", "route", "plaint"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise ImportError('a foreign package was imported')\n")
    return folder


def plaint(
    *arguments: str, cwd: Path, stdin: bytes = b"", settings: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run it to its end."""
    return subprocess.run(
        [PLAINT, *arguments], input=stdin, capture_output=True, cwd=cwd, env=environment(settings), timeout=LIMIT_S
    )


def unheard(
    *arguments: str, cwd: Path, settings: Mapping[str, str], errors_too: bool = False
) -> "subprocess.CompletedProcess[bytes]":
    """Run it to its end while nobody reads what it writes, as ``| head`` leaves it; ``errors_too`` as ``2>&1 | head`` does."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        return subprocess.run(
            [PLAINT, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end if errors_too else subprocess.PIPE,
            cwd=cwd,
            env=environment(settings),
            timeout=LIMIT_S,
        )
    finally:
        os.close(write_end)


def shown(done: "subprocess.CompletedProcess[bytes]") -> str:
    """All that it wrote, for a message or to look for what must not be in it."""
    return (done.stdout + done.stderr).decode(errors="replace")
