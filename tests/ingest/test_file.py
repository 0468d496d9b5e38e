"""The file door: what comes through as posts, what is refused with its line, and that the line after it goes through."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from ingest.file import FileSource
from ingest.settings import SourceSettings
from ingest.source import Found, Item, Refused, SourceFailed
from schemas.reasons import DeadReason
from schemas.record import MAX_RECORD_BYTES

AFTER = b'{"id":"after","text":"The line after it."}\n'


def source(path: Path | str, **settings: Any) -> FileSource:
    return FileSource(SourceSettings.model_validate({"path": str(path), **settings}))


def read(path: Path, **settings: Any) -> list[Item]:
    return list(source(path, **settings).items(Event()))


def posts(items: list[Item]) -> dict[str, str]:
    return {item.post.id: item.post.text for item in items if isinstance(item, Found)}


def refused(items: list[Item]) -> list[Refused]:
    return [item for item in items if isinstance(item, Refused)]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(content: bytes, name: str = "posts.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def test_each_line_is_a_post_with_its_place(write: Callable[..., Path]) -> None:
    path = write(b'{"id":"1","text":"a","author":{"handle":"jo"}}\n\n  \n{"id":"2","text":"b"}')
    items = read(path)
    assert posts(items) == {"1": "a", "2": "b"}
    assert [item.place for item in items] == [f"{path}:1", f"{path}:4"]


def test_posts_of_a_file_say_when_it_was_written(write: Callable[..., Path]) -> None:
    path = write(b'{"id":"1","text":"a"}\n')
    os.utime(path, (1_700_000_000, 1_700_000_000))
    [item] = read(path)
    assert isinstance(item, Found)
    assert item.as_of == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize("id_", ["5.70306E+17", "1e+18", "5,70306E+17"])
def test_an_id_that_a_spreadsheet_has_rounded_is_refused(write: Callable[..., Path], id_: str) -> None:
    for content in (f'id,text\n"{id_}",a\n12e4,b\n', f'{{"id":"{id_}","text":"a"}}\n{{"id":"12e4","text":"b"}}\n'):
        refused, found = read(write(content.encode(), "posts.csv" if content.startswith("id") else "posts.jsonl"))
        assert isinstance(refused, Refused)
        assert "export the column of ids as text" in refused.detail
        assert isinstance(found, Found)
        assert found.post.id == "12e4"


def test_a_post_that_was_taken_by_a_rounded_id_before_can_still_be_deleted(write: Callable[..., Path]) -> None:
    [found] = read(write(b'{"id":"5.70306E+17","event":"delete"}\n'))
    assert isinstance(found, Found)


def test_a_file_from_beyond_the_calendar_is_read_without_its_time(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = os.fstat
    monkeypatch.setattr("ingest.lines.os.fstat", lambda number: os.stat_result([*stat(number)[:8], 10**12, 0]))
    [item] = read(write(AFTER))
    assert isinstance(item, Found)
    assert item.as_of is None


def test_byte_order_mark_and_dos_line_ends_are_no_part_of_a_post(write: Callable[..., Path]) -> None:
    assert posts(read(write(b'\xef\xbb\xbf{"id":"1","text":"a"}\r\n\r\n{"id":"2","text":"b"}\r\n'))) == {
        "1": "a",
        "2": "b",
    }
    table = write(b'\xef\xbb\xbfid,text\r\n1,a\r\n2,"b\r\nc"\r\n', "posts.csv")
    assert posts(read(table)) == {"1": "a", "2": "b\r\nc"}


def test_whole_numbers_are_taken_as_ids_and_fractions_are_not(write: Callable[..., Path]) -> None:
    lines = [
        b'{"id":%s,"text":"a","author":{"id":7}}' % number for number in (b"123", b"9" * 38, b"1.5", b"1e18", b"true")
    ]
    items = read(write(b"\n".join(lines)))
    assert list(posts(items)) == ["123", "9" * 38]
    assert [item.post.author.id for item in items if isinstance(item, Found)] == ["7", "7"]
    assert [item.reason for item in refused(items)] == [DeadReason.INVALID_RECORD] * 3


def test_a_line_that_is_no_utf8_is_refused_with_its_bytes(write: Callable[..., Path]) -> None:
    bad = '{"id":"1","text":"Grüße"}'.encode("latin-1")
    [item] = refused(read(write(bad + b"\n" + AFTER)))
    assert (item.reason, item.raw) == (DeadReason.UNREADABLE_LINE, bad)
    assert "byte 21 of the line is no UTF-8" in item.detail


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_too_long_is_refused_cut_with_size_and_hash_of_the_whole(write: Callable[..., Path], end: bytes) -> None:
    long = b'{"id":"1","text":"' + b"x" * 1_000_000 + b'"}'
    items = read(write(long + end + AFTER))
    [item] = refused(items)
    whole = long + end.removesuffix(b"\n")
    assert item.reason is DeadReason.TOO_LARGE
    assert item.raw == long[:MAX_RECORD_BYTES]
    assert item.whole == (len(whole), sha256(whole).hexdigest())
    assert posts(items) == {"after": "The line after it."}
    assert items[1].place.endswith(":2")


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_the_limit_of_a_line_is_exact(write: Callable[..., Path], over: int) -> None:
    shell = b'{"id":"1","text":""}'
    line = shell[:-2] + b"x" * (MAX_RECORD_BYTES + over - len(shell)) + shell[-2:]
    for content in (line, line + b"\n"):
        [item] = read(write(content))
        assert isinstance(item, Refused) == (over > 0)


def test_memory_stays_bounded_by_a_line_without_end() -> None:
    program = (
        "import resource\nfrom threading import Event\nfrom ingest.file import FileSource\n"
        "from ingest.settings import SourceSettings\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "[item] = FileSource(SourceSettings(path='-')).items(Event())\n"
        "print(item.whole.size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        assert child.stdout
        for _ in range(100):
            child.stdin.write(b"x" * 1_000_000)
        child.stdin.close()
        size, grown_mib = map(int, child.stdout.read().split())
    assert size == 100_000_000
    assert grown_mib < 16


class TestGzip:
    LINES = b"".join(b'{"id":"%d","text":"post number %d"}\n' % (n, n * 7919) for n in range(20_000))

    def test_is_known_by_its_bytes_not_by_its_name(self, write: Callable[..., Path]) -> None:
        assert len(posts(read(write(gzip.compress(self.LINES), "posts")))) == 20_000
        assert len(posts(read(write(self.LINES, "posts.jsonl.gz")))) == 20_000

    def test_several_members_are_one_file(self, write: Callable[..., Path]) -> None:
        assert len(posts(read(write(gzip.compress(self.LINES) + gzip.compress(AFTER))))) == 20_001

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
    def test_cut_in_the_middle_gives_all_whole_lines_and_one_refusal(
        self, write: Callable[..., Path], share: float
    ) -> None:
        packed = gzip.compress(self.LINES)
        items = read(write(packed[: int(len(packed) * share)]))
        [item] = refused(items)
        assert item is items[-1]
        assert item.reason is DeadReason.UNREADABLE_LINE
        assert "gzip" in item.detail
        assert item.place.endswith(f":{len(items)}")
        found = posts(items)
        assert list(found) == [str(number) for number in range(len(found))]
        assert self.LINES.split(b"\n")[len(found)].startswith(item.raw)
        assert len(found) > 1000

    def test_damaged_bytes_are_told_at_the_end(self, write: Callable[..., Path]) -> None:
        packed = bytearray(gzip.compress(self.LINES))
        packed[len(packed) // 2 : len(packed) // 2 + 40] = bytes(40)
        items = read(write(bytes(packed)))
        assert "gzip data is damaged" in refused(items)[-1].detail
        assert items[-1] is refused(items)[-1]
        assert len(posts(items)) > 1000


class TestTable:
    def test_columns_and_constants_become_fields(self, write: Callable[..., Path]) -> None:
        path = write(b"tweet,body,user,seen\n1,Hello,jo,12\n2,,ann,\n", "a.csv")
        columns = {"id": "tweet", "text": "body", "author.handle": "user", "author.followers": "seen"}
        items = read(path, columns=columns, constants={"network": "x", "brands": "Acme, Globex"})
        first, second = (item.post for item in items if isinstance(item, Found))
        assert (first.id, first.text, first.author.handle, first.author.followers) == ("1", "Hello", "jo", 12)
        assert (first.network, first.brands) == ("x", ("Acme", "Globex"))
        assert (second.text, second.author.followers) == ("", None)

    def test_without_a_mapping_columns_named_like_fields_are_read(self, write: Callable[..., Path]) -> None:
        path = write(b"text,id,author.handle,shop\nHello,1,jo,none\n", "a.csv")
        [item] = read(path)
        assert isinstance(item, Found)
        assert (item.post.id, item.post.text, item.post.author.handle) == ("1", "Hello", "jo")

    def test_a_row_over_several_lines_stands_at_its_first(self, write: Callable[..., Path]) -> None:
        path = write(b'id,text\n1,"a\nb\nc"\n2,d\n3,"e\nf",too many\n4,g\n', "a.csv")
        items = read(path)
        assert posts(items) == {"1": "a\nb\nc", "2": "d", "4": "g"}
        assert [item.place.rpartition(":")[2] for item in items] == ["2", "5", "6", "8"]
        [item] = refused(items)
        assert item.raw == b'3,"e\nf",too many'

    @pytest.mark.parametrize(
        "damaged",
        [b'1,"never closed', b'1,"closed" too early', b'1,"a" "b"', b"1", b"1,a,b", b"1,\xff\xfe", b"1,a\rb"],
    )
    def test_a_damaged_row_costs_itself_only(self, write: Callable[..., Path], damaged: bytes) -> None:
        rest = b"".join(b'%d,"post ""%d"""\n' % (number, number) for number in range(2, 500))
        items = read(write(b"id,text\n0,before\n" + damaged + b"\n" + rest, "a.csv"))
        [item] = refused(items)
        assert (item.reason, item.raw) == (DeadReason.UNREADABLE_LINE, damaged)
        assert item.place.endswith(":3")
        assert list(posts(items)) == ["0", *map(str, range(2, 500))]

    def test_so_does_each_of_several_and_each_says_what_is_wrong(self, write: Callable[..., Path]) -> None:
        closed = b'1,"closed" too early\n2,b\n3,"closed" again\n4,d\n'
        rest = b"".join(b"%d,%s\n" % (number, b"x" * 200) for number in range(6, 2006))
        items = read(write(b"id,text\n" + closed + b'5,"never closed\n' + rest, "a.csv"))
        assert [(item.place.rpartition(":")[2], item.detail) for item in refused(items)] == [
            ("2", "the row's quoting is damaged: ',' expected after '\"'"),
            ("4", "the row's quoting is damaged: ',' expected after '\"'"),
            ("6", f"the row's quoting is damaged: over {MAX_RECORD_BYTES} bytes without an end"),
        ]
        assert list(posts(items)) == ["2", "4", *map(str, range(6, 2006))]

    def test_a_quote_that_is_never_closed_does_not_swallow_a_large_file(self, write: Callable[..., Path]) -> None:
        rest = b"".join(b"%d,%s\n" % (number, b"x" * 200) for number in range(2, 5000))
        items = read(write(b'id,text\n1,"never closed\n' + rest, "a.csv"))
        assert [item.raw for item in refused(items)] == [b'1,"never closed']
        assert len(posts(items)) == 4998

    def test_a_row_too_long_is_refused_and_the_next_one_read(self, write: Callable[..., Path]) -> None:
        items = read(write(b"id,text\n1," + b"x" * 400_000 + b"\n2,b\n", "a.csv"))
        [item] = refused(items)
        assert item.reason is DeadReason.TOO_LARGE
        assert item.whole
        assert item.whole.size == 400_002
        assert posts(items) == {"2": "b"}

    def test_a_row_without_id_gets_one_of_its_content(self, write: Callable[..., Path]) -> None:
        content = b"id,text,network\n,a,bc\n,b,bc\n,ab,c\n,a,bc\n"
        first, *others, again = (item.post.id for item in read(write(content, "a.csv")) if isinstance(item, Found))
        assert first == again
        assert len({first, *others}) == 3

    def test_cut_gzip_in_a_quoted_cell_is_refused(self, write: Callable[..., Path]) -> None:
        rows = b"id,text\n" + b"".join(b'%d,"post %d\nsecond line"\n' % (n, n * 7919) for n in range(5000))
        packed = gzip.compress(rows)
        items = read(write(packed[: len(packed) // 2], "a.csv"))
        assert items[-1] in refused(items)
        assert len(refused(items)) <= 2
        assert len(posts(items)) > 1000

    @pytest.mark.parametrize(
        ("content", "settings", "told"),
        [
            (b"", {}, "is empty"),
            (
                b"no,text\n1,a\n",
                {},
                "set it to the name of a column; the header has 'no', 'text'",
            ),
            (b"id,text\n1,a\n", {"columns": {"id": "tweet", "text": "text"}}, "columns.id: there is no column 'tweet'"),
            (b"id;text\r\n1;a\r\n", {}, "the header is separated by semicolons; export the table with commas"),
            (b"id\ttext\n1\ta\n", {"columns": {"id": "id", "text": "text"}}, "the header is separated by tabs"),
            ("id\ttext\r\n".encode("utf-16"), {}, "is in UTF-16; the first row of a table names its columns"),
            (b"id,text,text\n1,a,b\n", {}, "columns.text: there are 2 columns 'text'"),
            ("id,text\n1,a\n".encode("utf-16"), {}, "is in UTF-16"),
            (b'"id,text\n1,a\n', {}, "quoting is damaged"),
            (b"\x1b[31mid,text\n1,a\n", {}, r"\x1b"),
        ],
    )
    def test_a_header_that_does_not_fit_is_told_before_anything_starts(
        self, write: Callable[..., Path], content: bytes, settings: dict[str, Any], told: str
    ) -> None:
        bad = source(write(content, "a.csv"), **settings)
        shown = "\n".join(map(str, bad.faults()))
        assert told in shown
        assert shown.isprintable() or "\n" in shown
        with pytest.raises(SourceFailed, match=r"a\.csv"):
            list(bad.items(Event()))


class TestCannotStart:
    def test_no_such_file(self, tmp_path: Path) -> None:
        [fault] = source(tmp_path / "none.jsonl").faults()
        assert str(fault).startswith("path: ")
        assert "No such file" in fault.what
        with pytest.raises(SourceFailed, match=r"none\.jsonl"):
            list(source(tmp_path / "none.jsonl").items(Event()))

    def test_a_directory(self, tmp_path: Path) -> None:
        [fault] = source(tmp_path).faults()
        assert "is a directory" in fault.what

    def test_a_file_that_may_not_be_read(self, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(AFTER)
        path.chmod(0)
        if os.geteuid() == 0:  # root may read everything: let the system's answer be the one that others get
            monkeypatch.setattr(os, "access", lambda *_: False)
        [fault] = source(path).faults()
        assert "may not be read" in fault.what

    def test_a_sound_file_has_no_faults(self, write: Callable[..., Path]) -> None:
        assert source(write(AFTER)).faults() == []
        assert source(write(b"id,text\n", "a.csv")).faults() == []
        assert source("-").faults() == []


class TestStream:
    def run(self, feed: Callable[[Any], None], **settings: Any) -> list[str]:
        program = (
            "import sys, json\nfrom threading import Event\nfrom ingest.file import FileSource\n"
            "from ingest.settings import SourceSettings\n"
            "for item in FileSource(SourceSettings(**json.loads(sys.argv[1]))).items(Event()):\n"
            "    print(item.place, type(item).__name__, flush=True)"
        )
        argv = [sys.executable, "-c", program, json.dumps({"path": "-", **settings})]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            feed(child)
            assert child.stdout
            return child.stdout.read().decode().split("\n")[:-1]

    def test_lines_come_out_as_they_come_in(self) -> None:
        def feed(child: Any) -> None:
            child.stdin.write(AFTER)
            child.stdin.flush()
            assert child.stdout.readline() == b"stdin:1 Found\n"
            child.stdin.write(b"no json\n" + AFTER)
            child.stdin.close()

        assert self.run(feed) == ["stdin:2 Refused", "stdin:3 Found"]

    def test_gzip_and_tables_come_through_a_pipe(self) -> None:
        packed = gzip.compress(b"id,text\n1,a\n2,b\n")

        def feed(child: Any) -> None:
            for number in range(len(packed)):  # even byte by byte
                child.stdin.write(packed[number : number + 1])
                child.stdin.flush()
            child.stdin.close()

        assert self.run(feed, format="csv") == ["stdin:2 Found", "stdin:3 Found"]

    def test_a_named_pipe_without_a_writer_is_left_when_stopped(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        stop = Event()
        timer = Timer(0.3, stop.set)
        timer.start()
        assert list(source(tmp_path / "pipe").items(stop)) == []
        timer.join()

    def test_half_a_line_is_not_read_when_stopped(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        stop = Event()
        items = source(tmp_path / "pipe").items(stop)
        writer = os.open(tmp_path / "pipe", os.O_RDWR)
        os.write(writer, AFTER + b'{"id":"half')
        assert isinstance(next(items), Found)
        timer = Timer(0.2, stop.set)
        timer.start()
        assert list(items) == []
        timer.join()
        os.close(writer)


def test_a_loop_gives_new_ids_each_round_until_stopped(write: Callable[..., Path]) -> None:
    stop = Event()
    items = source(write(b'{"id":"a","text":"1"}\nno json\n{"id":"b","text":"2"}\n'), loop=True).items(stop)
    ids = [item.post.id for item in first(items, 9) if isinstance(item, Found)]
    assert ids == ["a", "b", "a~2", "b~2", "a~3", "b~3"]
    stop.set()
    assert list(items) == []


def test_a_loop_over_an_empty_file_ends(write: Callable[..., Path]) -> None:
    assert read(write(b"\n"), loop=True) == []


def first(items: Iterator[Item], count: int) -> list[Item]:
    return [next(items) for _ in range(count)]


def test_the_public_tweets_are_read_whole() -> None:
    data = Path(os.environ.get("PLAINT_DATA") or "../shared/data") / "public/twcs_airlines_asapp/data.csv.gz"
    if not data.exists():
        pytest.skip(f"NOT TESTED ON REAL POSTS: there is no {data}; set PLAINT_DATA")
    items = read(data, columns={"id": "first_tweet_id", "text": "text"}, constants={"network": "x"})
    assert refused(items) == []
    assert len(items) == 43_072
    assert len(posts(items)) == 42_312
