"""What of the processor matters to the network's speed."""

import platform
from functools import lru_cache
from pathlib import Path

KNOWN = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm")
"""Flags, as Linux names them, of instructions that multiply matrices; the later the faster."""
_CPUINFO = Path("/proc/cpuinfo")


@lru_cache(maxsize=1)
def instructions() -> tuple[str, ...]:
    """The known ones that this processor has; its architecture where the system doesn't tell."""
    return known_flags(_CPUINFO.read_text(errors="replace") if _CPUINFO.exists() else "") or (platform.machine(),)


def known_flags(cpuinfo: str) -> tuple[str, ...]:
    """Out of the text of Linux's `/proc/cpuinfo`: `flags` on x86, `Features` on ARM."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            flags = set(value.split())
            return tuple(flag for flag in KNOWN if flag in flags)
    return ()
