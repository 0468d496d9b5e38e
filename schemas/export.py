"""Writes the JSON Schemas of what travels to ``schemas/json``: ``python -m schemas.export``; ``--check`` only compares.

A change that a record of the same version would not survive is refused: raise ``v`` and keep reading the old one.
"""

import json
import sys
from pathlib import Path

from schemas.compat import JsonSchema, breaks
from schemas.deadletter import DeadLetter
from schemas.delivery import Delivery
from schemas.post import Post
from schemas.record import Record
from schemas.ticket import Ticket
from schemas.triage import Triage

FOLDER = Path(__file__).parent / "json"
EXPORTED: dict[str, type[Record]] = {
    "post.v1": Post,
    "triage.v1": Triage,
    "ticket.v1": Ticket,
    "delivery.v1": Delivery,
    "deadletter.v1": DeadLetter,
}


def current(name: str) -> JsonSchema:
    """The schema as the code has it now."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **EXPORTED[name].model_json_schema()}


def path(name: str) -> Path:
    """Where the schema is committed."""
    return FOLDER / f"{name}.schema.json"


def faults() -> list[str]:
    """What is wrong with the committed schemas: stale, missing, or broken by the code."""
    found = []
    for name in EXPORTED:
        if not path(name).exists():
            found.append(f"{name}: not exported; run python -m schemas.export")
            continue
        committed = json.loads(path(name).read_text())
        broken = breaks(committed, current(name))
        found += [f"{name}: {line}; records of this version would break: raise v" for line in broken]
        if not broken and committed != current(name):
            found.append(f"{name}: stale; run python -m schemas.export")
    return found


def main() -> int:
    """Exit code 0, or 1 with the faults on stderr."""
    wrong = faults()
    if "--check" not in sys.argv[1:]:
        wrong = [line for line in wrong if "would break" in line]
        for name in EXPORTED if not wrong else ():
            path(name).write_text(json.dumps(current(name), indent=2, sort_keys=True) + "\n")
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
