"""Which destinations a command is about."""

from collections.abc import Sequence

from plaint.settings import SettingsInvalid
from schemas.faults import Fault, one_of, shown


def chosen_destinations(asked: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Those that were ``asked`` for. Raises SettingsInvalid with each that isn't ``known``."""
    faults = [
        Fault("--destination", f"{shown(name)} is none of the destinations", one_of(name, known))
        for name in asked
        if name not in known
    ]
    if faults:
        raise SettingsInvalid(faults)
    return tuple(dict.fromkeys(asked))
