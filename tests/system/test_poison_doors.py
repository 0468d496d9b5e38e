"""Whatever comes through a door is published, or a dead letter with its file and line, and the line behind it passes."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.lab import START_S, UNSEEN, Lab, plaint
from tests.system.poison import DEEP, PASSES, POSTS, ROWS, post
from tests.system.raw import headers, is_letter_of

pytestmark = pytest.mark.kafka


def test_file_of_json_lines(lab: Lab, tmp_path: Path) -> None:
    _read_lines(lab, tmp_path / "poison.jsonl", lambda path: lab.stack.feed(path).wait(START_S))


def test_standard_input_of_ingest(lab: Lab, tmp_path: Path) -> None:
    def feed(path: Path) -> int:
        with path.open("rb") as lines:
            return plaint(lab, "run", "ingest", "--source", "stdin", stdin=lines).returncode

    _read_lines(lab, tmp_path / "poison.jsonl", feed, shown="stdin")


def _read_lines(lab: Lab, path: Path, feed: Callable[[Path], int], shown: str = "") -> None:
    began = time.time()
    cases = {name: case for name, case in POSTS.items() if case.is_line}
    own, behind = lab.ids(len(cases)), lab.ids(len(cases))
    lines = [case.filled(own[n]) or b"" for n, case in enumerate(cases.values())]
    sound = [post().replace(b"ID", post_id.encode()) for post_id in behind]
    path.write_bytes(b"".join(b"%b\n%b\n" % pair for pair in zip(lines, sound, strict=True)))
    assert feed(path) == 0
    lab.wait_for_triages(behind)
    found = {}
    for number, (name, line) in enumerate(zip(cases, lines, strict=True)):
        letters = lab.records.letters[f"{shown or path}:{2 * number + 1}"]
        assert len(letters) <= 1, name
        if letters:
            assert is_letter_of(letters[0], line, None), name
            found[name] = headers(letters[0])["plaint-reason"].decode()
    assert {name: found.get(name, PASSES) for name in cases} == {name: case.at_door for name, case in cases.items()}
    lab.untroubled(began)


def test_file_of_rows(lab: Lab, tmp_path: Path) -> None:
    began = time.time()
    own, behind = lab.ids(len(ROWS)), lab.ids(len(ROWS))
    path = tmp_path / "poison.csv"
    table, places = b"\xef\xbb\xbfid,text,created_at,author.followers\r\n", {}
    for number, (name, (row, _)) in enumerate(ROWS.items()):
        line = table.count(b"\n") + 1
        places[name] = f"{path}:{line}"
        table += (
            row.replace(b"ID", own[number].encode()) + b"\n" + b"%b,My router is dead,,\n" % behind[number].encode()
        )
    path.write_bytes(table)
    assert lab.stack.feed(path).wait(START_S) == 0
    lab.wait_for_triages(behind)
    found = {name: lab.records.reasons(place) for name, place in places.items()}
    assert found == {name: [] if outcome == PASSES else [outcome] for name, (_, outcome) in ROWS.items()}
    lab.untroubled(began)


def test_standard_input_of_classify(lab: Lab, tmp_path: Path) -> None:
    cases = {name: case for name, case in POSTS.items() if case.is_line} | DEEP
    own = lab.ids(len(cases))
    lines = [case.filled(own[n]) or b"" for n, case in enumerate(cases.values())]
    path = tmp_path / "poison.jsonl"
    path.write_bytes(
        b"".join(b'%b\n{"id":%d,"text":"My router is dead"}\n' % (line, n) for n, line in enumerate(lines))
    )
    with path.open("rb") as given:
        done = plaint(lab, "classify", stdin=given)
    refused = {name: 2 * n + 1 for n, (name, case) in enumerate(cases.items()) if case.at_classify != PASSES}
    assert done.returncode == 1
    told = [line for line in done.stderr.decode().splitlines() if line.startswith("line ")]
    assert [int(line.split(":")[0][5:]) for line in told] == list(refused.values())
    assert not UNSEEN.search(done.stderr)
    ids = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert [i for i in ids if isinstance(i, int) and i < len(lines)] == list(range(len(lines)))
    assert len(ids) == 2 * len(lines) - len(refused)
