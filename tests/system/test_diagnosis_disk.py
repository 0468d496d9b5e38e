"""A broker whose disk is full is named: while it still answers by its free space, and after it has died of it.

Its data lie on a small file system of their own, in a mount namespace that is gone with the test.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import PLAINT, environment, plaint
from tests.support.kafka_process import KafkaProcess, why_no_kafka
from tests.system.ward import eventually

pytestmark = pytest.mark.kafka
SIZE = "48m"
LEFT = 500_000
"""Enough for the broker to live on for a while, too little to live well."""
ENTER = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
HOLD = f'mount -t tmpfs -o size={SIZE} tmpfs "$0" && echo mounted && exec sleep 600'


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """A file system of SIZE at ``folder``: its path as seen from here, and the words that take a command to it."""
    folder.mkdir(parents=True)
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("NOT TESTED: no unshare and nsenter (util-linux) for a small file system")
    holder = subprocess.Popen([*ENTER, "sh", "-c", HOLD, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        if b"mounted" not in holder.stdout.readline():
            pytest.skip(f"NOT TESTED: no small file system can be mounted here: {holder.stderr.read().decode()[-200:]}")
        users = [] if os.getuid() == 0 else ["--user", "--preserve-credentials"]
        yield Path(f"/proc/{holder.pid}/root{folder}"), ["nsenter", "--mount", *users, "--target", str(holder.pid)]
    finally:
        holder.kill()
        holder.communicate()


def fill(folder: Path, leave: int) -> None:
    """Leave so many bytes free there."""
    with (folder / "filler").open("wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass
        file.truncate(max(0, file.tell() - leave))


@pytest.mark.long
def test_a_full_disk_at_the_broker_is_named_before_and_after_it_dies_of_it(tmp_path: Path) -> None:
    if reason := why_no_kafka():
        pytest.skip(f"NOT TESTED ON APACHE KAFKA: {reason}")
    home = tmp_path / "kafka"
    with small_disk(home / "data") as (disk, prefix), KafkaProcess(home, heap="256m", prefix=prefix) as node:
        settings = {"PLAINT_KAFKA__BROKERS": json.dumps([node.bootstrap]), "PLAINT_RUNTIME_DIR": str(tmp_path / "run")}

        def run(*arguments: str) -> Any:
            return plaint(*arguments, cwd=tmp_path, settings=settings)

        assert run("topics", "--create").returncode == 0
        fill(disk, leave=LEFT)
        [found] = json.loads(run("doctor", "broker-disks", "--json").stdout)
        assert found["state"] == "fail", found
        assert "%) are free in" in found["findings"][0]["what"]
        assert "free space there or make it larger" in found["findings"][0]["mend"]

        writer = _writing(tmp_path, settings)
        try:
            eventually(lambda: node.exited)
        finally:
            writer.kill()
            writer.wait()
        [broker] = json.loads(run("doctor", "brokers", "--json").stdout)
        assert "takes no connection" in broker["findings"][0]["what"]
        assert "a full disk ends it too" in broker["findings"][0]["mend"]
        status = run("status", "--json")
        assert status.returncode == 1
        named = next(one for one in json.loads(status.stdout)["findings"] if one["place"] == "kafka")
        assert "`plaint doctor`" in named["mend"]


def _writing(folder: Path, settings: dict[str, str]) -> "subprocess.Popen[bytes]":
    """A source that goes on and on."""
    (folder / "posts.jsonl").write_text(json.dumps({"id": "p:1", "text": "x" * 50_000}) + "\n")
    return subprocess.Popen(
        [PLAINT, "run", "ingest", "--source", "file:posts.jsonl,loop=true"],
        cwd=folder,
        env=environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
