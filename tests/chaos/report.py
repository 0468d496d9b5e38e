"""What a long run prints: a table for people and one last line of JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.verdict import Verdict

BAD = ("unpublished", "untriaged", "missing", "unsettled", "dead", "reopened", "second", "unexpected", "strays")


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> str:
    """On what a run was made."""
    return f"{processor()}, {os.cpu_count()} processors, Python {platform.python_version()}"


def is_bad(verdict: Verdict) -> bool:
    """Whether anything was lost, came as a second ticket, or was sent by somebody who must not."""
    counts = verdict.counts()
    return any(counts[name] for name in BAD)


def say_faults(verdict: Verdict, more: Sequence[str] = ()) -> None:
    """Print the first of each kind of fault."""
    for line in [f"{fault}: {', '.join(found)}" for fault, found in verdict.faults.items()] + list(more[:5]):
        print(f"  {line}", flush=True)


def total(counts: Mapping[str, int]) -> int:
    """Over all destinations."""
    return sum(counts.values())


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


@dataclass(frozen=True)
class Section:
    """What one long run found. ``bad``: something was lost or came as a second ticket."""

    title: str
    text: str
    numbers: Mapping[str, Any]
    bad: bool


def finish(sections: Mapping[str, Section]) -> int:
    """Print everything, the counts as JSON in the last line; the exit code."""
    for section in sections.values():
        print(f"\n{section.title}, on {machine()}\n\n{section.text}")
    bad = any(section.bad for section in sections.values())
    counts = {name: section.numbers for name, section in sections.items()}
    print("\n" + json.dumps({"bad": bad, "processor": processor(), **counts}, separators=(",", ":")), flush=True)
    return int(bad)
