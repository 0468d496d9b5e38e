"""The machine: versions, cores, memory, and the disks that plaint itself writes to."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil

from plaint.diagnosis.check import Check, checked
from plaint.diagnosis.finding import Finding, fail, warn
from plaint.settings import Settings

MB = 1_000_000
NEEDED_BYTES = 700 * MB
"""Memory of the workers of one machine: the model in classify, and some 60 MB for each of the others."""
TEMPORARY = "temporary files"
DISK_WARN_BYTES, DISK_FAIL_BYTES = 500 * MB, 50 * MB
LIBRARIES = ("faust-streaming", "aiokafka", "kafka-python", "aiohttp", "onnxruntime")


def check_versions() -> Check:
    """What runs here; for whoever is asked for help."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return checked("versions", f"plaint {version('plaint')}, {python}; {libraries}")


def check_machine() -> Check:
    """Cores and memory, within what this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free = psutil.virtual_memory().available
    found = []
    if free < NEEDED_BYTES:
        what = f"{free / MB:,.0f} MB of memory are free; all stages on one machine take {NEEDED_BYTES / MB:,.0f} MB"
        found.append(warn("memory", what, "end what else runs here, or run the stages on several machines"))
    return checked("machine", f"{cores} cores, {free / MB:,.0f} MB of memory free", found)


def check_disk(settings: Settings) -> Check:
    """Free space where plaint writes: temporary files, the inbox's journal, the data of a broker that it starts."""
    places = folders(settings)
    found = [finding for name, folder in places.items() for finding in _room(name, folder)]
    if TEMPORARY not in places:
        mend = "mount a writable one at /tmp or set TMPDIR to one; the stages alone need PLAINT_RUNTIME_DIR only"
        found.append(warn(TEMPORARY, "there is no folder for them that can be written", mend))
    return checked("disk", "; ".join(f"{name} {folder}" for name, folder in places.items()), found)


def folders(settings: Settings) -> dict[str, Path]:
    """The folders that plaint writes to on this machine, by what is in them."""
    found = {}
    with suppress(FileNotFoundError):  # there is none that can be written
        found[TEMPORARY] = Path(tempfile.gettempdir())
    if settings.inbox.journal is not None:
        found["inbox.journal"] = settings.inbox.journal.absolute().parent
    if settings.broker.embedded == "kafka" and not settings.kafka.brokers:
        found["broker.data_dir"] = settings.broker.data_dir
    return found


def _room(name: str, folder: Path) -> Iterator[Finding]:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    usage = shutil.disk_usage(there)
    if not os.access(there, os.W_OK):
        yield fail(
            name, f"{there} can't be written to", f"let this user write there, or name another folder for {name}"
        )
    left = f"{usage.free / MB:,.0f} MB are free in {there}"
    mend = f"free space there, or name another folder for {name}"
    if usage.free < DISK_FAIL_BYTES:
        yield fail(name, left, mend)
    elif usage.free < DISK_WARN_BYTES:
        yield warn(name, left, mend)
