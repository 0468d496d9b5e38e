"""A running ``plaint up`` is found by those who look for it, and one that is gone is not."""

import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from plaint.kafka.settings import KafkaSettings
from plaint.local.running import (
    FolderInvalid,
    Running,
    announced,
    destinations_at_hand,
    find_running,
    kafka_at_hand,
    running_at_hand,
    runtime_folder,
    started_at,
    write_note,
)
from plaint.lookup.holds import clues_at_hand
from plaint.reloading.in_use import InUse
from plaint.settings import Settings, SettingsInvalid

EMBEDDED = KafkaSettings(brokers=("127.0.0.1:4711",), idempotent_producer=False)
OWN = Settings.model_validate({"kafka": {"brokers": ["kafka:9092"]}})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def test_what_is_announced_is_found_until_it_ends(folder: Path) -> None:
    assert find_running() is None
    with announced(EMBEDDED, inbox="http://127.0.0.1:1", destinations=("helpdesk",)) as told:
        assert find_running() == told
        assert kafka_at_hand(Settings()) == EMBEDDED
        assert kafka_at_hand(OWN) == OWN.kafka
        assert destinations_at_hand(Settings()) == ("helpdesk",)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert find_running() is None
    assert list(folder.iterdir()) == []


def test_a_trial_beside_a_plaint_on_your_own_brokers_tells_nothing_of_it(tmp_path: Path) -> None:
    with announced(
        EMBEDDED, brokers=EMBEDDED.brokers, monitoring="http://127.0.0.1:1", destinations=("helpdesk",)
    ) as trial:
        assert running_at_hand(Settings()) == trial
        assert running_at_hand(OWN) is None
        assert destinations_at_hand(OWN) == ()
        assert clues_at_hand(OWN, OWN.kafka).addresses == ()
        assert clues_at_hand(Settings(), EMBEDDED).addresses == ("http://127.0.0.1:1",)
    with announced(None, brokers=("other:9092", *OWN.kafka.brokers), destinations=("service",)) as own:
        assert running_at_hand(OWN) == own
        assert destinations_at_hand(OWN) == ("service",)


def test_without_one_and_without_brokers_it_says_what_to_do() -> None:
    with pytest.raises(SettingsInvalid, match="start `plaint up` in another terminal"):
        kafka_at_hand(Settings())


def test_a_note_of_a_process_that_was_killed_is_removed_even_if_its_pid_lives_again(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pid = gone.pid
    write_note(f"up-{pid}.json", Running(pid=pid, process_started="1"))
    write_note("up-0.json", Running(pid=os.getpid(), process_started="1"))
    assert find_running() is None
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(
    sys.platform != "linux", reason="NOT TESTED WITH A CLOCK THAT IS SET: psutil reads it from /proc on Linux only"
)
def test_a_clock_that_is_set_hides_no_running_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with announced(EMBEDDED) as told:
        used = InUse(version="1")
        before = psutil.Process().create_time()
        # What Linux says after its clock was put forward by an hour: this machine's own is left alone.
        proc = tmp_path / "proc"
        proc.mkdir()
        for name in (str(os.getpid()), "self"):
            (proc / name).symlink_to(f"/proc/{os.getpid()}")
        said = Path("/proc/stat").read_text()
        (proc / "stat").write_text(re.sub(r"(?m)^btime (\d+)$", lambda found: f"btime {int(found[1]) + 3600}", said))
        monkeypatch.setattr(psutil, "PROCFS_PATH", str(proc))
        assert psutil.Process().create_time() == pytest.approx(before + 3600)
        assert find_running() == told
        assert used.is_alive
        assert [file.name for file in folder.iterdir()] == [f"up-{os.getpid()}.json"]


def test_of_several_the_youngest_is_found_and_what_is_no_note_is_passed_over(folder: Path) -> None:
    with announced(None) as young:
        started = started_at(os.getpid())
        assert started is not None
        old = Running(pid=os.getpid(), process_started=started, since=datetime.now(UTC) - timedelta(hours=1))
        write_note("up-1.json", old)
        (folder / "up-2.json").write_text("{")
        assert find_running() == young


def test_a_folder_of_somebody_else_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime_folder().mkdir(parents=True)
    monkeypatch.setattr("plaint.local.running.os.getuid", lambda: os.geteuid() + 1)
    with pytest.raises(FolderInvalid, match="belongs to somebody else; set PLAINT_RUNTIME_DIR"), announced(None):
        pass


def test_a_link_that_somebody_laid_in_the_folder_for_all_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLAINT_RUNTIME_DIR")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("plaint.local.running.tempfile.gettempdir", lambda: str(tmp_path))
    mine = tmp_path / "mine"
    mine.mkdir()
    runtime_folder().symlink_to(mine)
    with pytest.raises(FolderInvalid, match="belongs to somebody else"), announced(None):
        pass
    assert list(mine.iterdir()) == []
    assert find_running() is None


def test_where_no_temporary_file_can_be_written_nothing_is_found_and_another_folder_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("plaint.local.running.tempfile.gettempdir", refuse)
    with announced(None) as running:
        assert find_running() == running
    monkeypatch.delenv("PLAINT_RUNTIME_DIR")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert find_running() is None
    with pytest.raises(FolderInvalid, match="set PLAINT_RUNTIME_DIR"), announced(None):
        pass
    Running().retract()  # what was not laid there is not missed


def test_a_note_that_goes_while_it_is_looked_at_is_passed_over(folder: Path) -> None:
    with announced(None) as running:
        (folder / "up-3.json").symlink_to(folder / "gone")
        assert find_running() == running
