"""Workers on this machine that a signal has stopped: to Kafka they look alive until their session runs out."""

import socket
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from psutil import (
    STATUS_STOPPED,
    STATUS_TRACING_STOP,
    AccessDenied,
    NoSuchProcess,
    Process,
    ZombieProcess,
    process_iter,
)

from schemas.topics import DELIVER

Address = tuple[str, int]


def stopped_workers(brokers: Iterable[Address]) -> dict[str, list[int]]:
    """Ids of stopped processes by the name of their stage, of those that are connected to one of these brokers.

    Processes of other users are not seen, unless root looks.
    """
    found: dict[str, list[int]] = {}
    addresses: set[Address] | None = None
    for process in process_iter(["status", "cmdline"]):
        if process.info["status"] not in (STATUS_STOPPED, STATUS_TRACING_STOP):
            continue
        stage = stage_of(process.info["cmdline"] or ())
        if stage is None:
            continue
        addresses = _resolved(brokers) if addresses is None else addresses
        if _peers(process) & addresses:
            found.setdefault(stage, []).append(process.pid)
    return found


def stage_of(command: Sequence[str]) -> str | None:
    """``classify`` or ``deliver-helpdesk`` if this is the command line of a ``plaint run``, else None."""
    words = list(command)
    names = [PurePath(word).name for word in words]
    if "plaint" not in names or "run" not in words[names.index("plaint") :]:
        return None
    rest = words[words.index("run", names.index("plaint")) + 1 :]
    stage = next((word for word in rest if not word.startswith("-")), None)
    if stage != "deliver":
        return stage
    return DELIVER + _option(rest, "--destination")


def _option(words: Sequence[str], name: str) -> str:
    for index, word in enumerate(words):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word == name and index + 1 < len(words):
            return words[index + 1]
    return ""


def _resolved(brokers: Iterable[Address]) -> set[Address]:
    found: set[Address] = set()
    for host, port in brokers:
        try:
            told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            continue
        found |= {(str(address[0]), port) for *_, address in told}
    return found


def _peers(process: Process) -> set[Address]:
    try:
        return {(one.raddr.ip, one.raddr.port) for one in process.net_connections("tcp") if one.raddr}
    except (NoSuchProcess, AccessDenied, ZombieProcess):
        return set()
