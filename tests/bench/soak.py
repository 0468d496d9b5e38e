"""``make soak``: many posts through every worker, and whether the memory of each stays level.

Samples the resident memory of each process of a running ``plaint up`` while the posts flow. A worker is level if the
median of its last quarter is at most a tenth and 10 MB above that of its second quarter (the first is warm-up). The
embedded broker holds all records in memory and the inbox a receipt of every ticket: they grow, and are reported only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import count, islice
from pathlib import Path

import psutil

from tests.bench.whole_way import PLAINT, last_ticket, plaint_up, posts, processor, stage_of

SAMPLE_S = 2.0
JUDGED = ("classify", "route", "deliver-helpdesk", "deliver-service", "deliver-marketing", "up")


def write_posts(file: Path, wanted: int) -> None:
    """``wanted`` posts: those of the benchmark, and then the same under new ids with a changed text."""
    found = list(posts(wanted))
    with file.open("w", encoding="utf-8") as out:
        for n in islice(count(), wanted):
            post, again = found[n % len(found)], n // len(found)
            out.write(json.dumps({"id": f"{post['id']}~{again}", "text": f"{post['text']} {again or ''}"}) + "\n")


def memory(parent: psutil.Process) -> dict[str, float]:
    """Resident MB by process."""
    return {stage_of(p): p.memory_info().rss / 1e6 for p in [parent, *parent.children(recursive=True)]}


def main() -> int:
    """Print a table and a last line of JSON; 1 if a worker's memory is not level."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=100_000)
    options = parser.parse_args()
    samples: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="plaint-soak-") as name:
        folder = Path(name)
        file = folder / "posts.jsonl"
        write_posts(file, options.posts)
        with plaint_up(folder / "up.log") as (parent, broker, inbox):
            env = os.environ | {"PLAINT_KAFKA": json.dumps({"brokers": [broker], "idempotent_producer": False})}
            started = time.perf_counter()
            ingest = subprocess.Popen([*PLAINT, "run", "ingest", "--source", f"file:{file}"], env=env)

            def sample() -> None:
                for stage, mb in memory(parent).items():
                    samples[stage].append(mb)
                time.sleep(SAMPLE_S)

            ended = last_ticket(inbox, started, options.posts // 2, between=sample)
            if ingest.wait(60):
                raise SystemExit("ingest failed")
    return _report(samples, options.posts, ended - started)


def _report(samples: dict[str, list[float]], wanted: int, seconds: float) -> int:
    rows, growing = {}, []
    for stage, found in sorted(samples.items()):
        quarter = max(1, len(found) // 4)
        early, late = statistics.median(found[quarter : 2 * quarter] or found), statistics.median(found[-quarter:])
        rows[stage] = {
            "second_quarter_mb": round(early, 1),
            "last_quarter_mb": round(late, 1),
            "peak_mb": round(max(found), 1),
        }
        if stage in JUDGED and late > early * 1.1 + 10:
            growing.append(stage)
        print(f"{stage:<20} second quarter {early:7.1f} MB  last quarter {late:7.1f} MB  peak {max(found):7.1f} MB")
    print(
        json.dumps(
            {"cpu": processor(), "posts": wanted, "seconds": round(seconds), "workers": rows, "growing": growing}
        )
    )
    return 1 if growing else 0


if __name__ == "__main__":
    sys.exit(main())
