"""``python -m tests.chaos [kills] [outages] [lives] [isolation] [embedded]``: all of them, or those named.

Prints a table for each and all counts as JSON in the last line. Exit code 1 if anything was lost, came as a second ticket,
was sent again without need, ended otherwise than its post, or held up another destination; what the embedded broker did is
only told.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos import embedded, isolation, kills, lives, outages
from tests.chaos.report import Section, finish
from tests.support.kafka_process import why_no_kafka

PARTS = {
    "kills": kills.run,
    "outages": outages.run,
    "lives": lives.run,
    "isolation": isolation.run,
    "embedded": embedded.run,
}


def main() -> int:
    """Run what is asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Let things die while posts flow.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; without any, all")
    parser.add_argument("--folder", type=Path, help="keep data and logs here")
    for part in (kills, outages, lives, isolation, embedded):
        part.arguments(parser)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    if reason := why_no_kafka():
        print(f"NOT TESTED ON APACHE KAFKA: {reason}", file=sys.stderr)
        return 1
    sections: dict[str, Section] = {}
    with tempfile.TemporaryDirectory(prefix="plaint-chaos-") as temporary:
        for name, run in PARTS.items():
            if not options.parts or name in options.parts:
                sections[name] = run(options, (options.folder or Path(temporary)) / name)
    return finish(sections)


if __name__ == "__main__":
    sys.exit(main())
