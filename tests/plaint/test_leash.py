"""The launcher that ties a child to its parent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plaint.local import leash

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")


def test_the_child_is_the_command_itself_under_the_same_process_id() -> None:
    command = leash.leashed([sys.executable, "-c", "import os; print(os.getpid())"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert int(child.stdout.read()) == child.pid


def test_a_child_whose_parent_died_before_it_was_tied_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid() + 1), "touch", str(tmp_path / "ran")]
    assert subprocess.run(command, check=False).returncode == leash.PARENT_GONE
    assert not (tmp_path / "ran").exists()


def test_a_command_that_does_not_exist_is_told_as_a_shell_does() -> None:
    done = subprocess.run(leash.leashed(["/nowhere/x"]), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (127, "/nowhere/x: No such file or directory\n")
