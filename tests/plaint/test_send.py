"""``plaint send``: which door or Kafka it finds, what it says, and what it does where it is refused."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from ingest.publish import Busy
from plaint import send as sending
from plaint.commands import send as command
from plaint.commands.send import send
from plaint.failures import EXIT_UNAVAILABLE, EXIT_USAGE, tell
from plaint.inbox.server import running
from plaint.inbox.settings import InboxSettings
from plaint.kafka.admin import open_admin
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.local.running import announced
from plaint.settings import Settings
from schemas.post import Post
from schemas.ticket import ticket_key
from tests.ingest.http_door import SECRETS, TOKENS, Door, Shelf, open_door
from tests.plaint.inbox.peer import SECRET, Peer, a_ticket, until
from tests.support.kafka_process import KafkaProcess, free_ports
from tests.support.topic_reading import posts

TEXT = "my router is dead for the third time, nobody answers"


@pytest.fixture(autouse=True)
def nothing_runs_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, and no ``plaint up`` but the test's own."""
    monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path / "running"))
    monkeypatch.chdir(tmp_path)
    for name in ("PLAINT_DOOR__TOKEN", "PLAINT_KAFKA__BROKERS", "PLAINT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sending, "PATIENCE_S", 0.5)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def door(shelf: Shelf) -> Iterator[Door]:
    """That of the ``plaint up`` that runs here."""
    with open_door(shelf) as door, announced(KafkaSettings(), door=f"http://127.0.0.1:{door.port}"):
        yield door


def run(*arguments: str, stdin: str = "", config: Path | None = None) -> Result:
    return CliRunner().invoke(send, arguments, input=stdin, obj=config)


def failure(result: Result) -> tuple[int, str]:
    """The exit code and what the person is told."""
    assert isinstance(result.exception, Exception), result.output
    code, lines = tell(result.exception)
    return code, "\n".join(lines)


@pytest.mark.usefixtures("door")
def test_words_become_a_post_at_the_door_of_the_plaint_that_runs_here(shelf: Shelf) -> None:
    done = run(*TEXT.split())
    assert done.exit_code == 0, done.output
    [post] = shelf.posts
    assert (post.text, post.source, post.event) == (TEXT, "send", "create")
    assert done.output == f"sent {post.id}\nwhat becomes of it: plaint explain {post.id}\n"
    assert run(TEXT).exit_code == 0
    assert shelf.posts[0].id != shelf.posts[1].id


@pytest.mark.usefixtures("door")
def test_everything_about_a_post_can_be_said(shelf: Shelf) -> None:
    done = run(
        "--id", "17", "--author", "@ann", "--network", "x", "--language", "en", "--event", "edit", "--json", TEXT
    )
    assert json.loads(done.output) == {"accepted": 1, "ids": ["17"], "inbox": None}
    [post] = shelf.posts
    assert (post.id, post.author.handle, post.network, post.language, post.event) == ("17", "@ann", "x", "en", "edit")
    assert run("--id", "17", "--event", "delete").exit_code == 0
    assert (shelf.posts[1].event, shelf.posts[1].text) == ("delete", "")


@pytest.mark.usefixtures("door")
def test_text_comes_from_standard_input_too(shelf: Shelf) -> None:
    assert run("-", stdin="two\nlines\n").exit_code == 0
    assert shelf.posts[0].text == "two\nlines"


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "there is no text"),
        (["  "], "there is no text"),
        (["--event", "delete"], "needs the --id"),
        (["--event", "edit", "x"], "needs the --id"),
        (["--file", "posts.jsonl", "text"], "stands in its line"),
    ],
)
def test_what_makes_no_post_is_wrong_usage(shelf: Shelf, tmp_path: Path, arguments: list[str], why: str) -> None:
    (tmp_path / "posts.jsonl").write_text("{}")
    done = run(*arguments)
    assert done.exit_code == EXIT_USAGE
    assert why in done.output
    assert shelf.posts == []


@pytest.mark.usefixtures("door")
def test_of_a_file_each_sound_line_is_sent_and_each_other_named(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BATCH_POSTS", 2)
    lines = [
        '{"id": 1, "text": "a", "created_at": 0}',
        "nope",
        '{"text": "b"}',
        "",
        '{"id": "3"}',
        '{"id": "4", "text": "d"}',
    ]
    (tmp_path / "posts.jsonl").write_text("\n".join(lines), encoding="utf-8-sig")
    done = run("--file", "posts.jsonl")
    assert done.exit_code == 1
    assert "line 2: " in done.stderr
    assert "line 5: " in done.stderr
    assert [post.text for post in shelf.posts] == ["a", "b", "d"]
    run("--file", "posts.jsonl")
    assert [post.id for post in shelf.posts[3:]] == [post.id for post in shelf.posts[:3]], "a repeat is known as one"


def test_many_posts_go_in_requests_that_a_door_takes() -> None:
    large = [{"id": str(number), "text": "ü" * 50_000} for number in range(20)]
    found = list(sending.batches(large))
    assert [post for batch in found for post in batch] == large
    assert all(len(json.dumps(batch, ensure_ascii=False).encode()) < 1024 * 1024 for batch in found)
    assert [len(batch) for batch in sending.batches({"id": str(n)} for n in range(1001))] == [500, 500, 1]


@pytest.mark.parametrize("limit", [{"max_posts": 3}, {"max_body_bytes": 1024}])
def test_a_door_that_takes_fewer_at_once_gets_fewer(shelf: Shelf, limit: dict[str, int]) -> None:
    sent = [{"id": str(number), "text": "My router is dead " * 10} for number in range(8)]
    with open_door(shelf, **limit) as door:
        target = sending.Door(f"http://127.0.0.1:{door.port}", Settings)
        assert [why for _, why in sending.send_all(target, sent) if why] == []
        target.close()
    assert [post.id for post in shelf.posts] == [post["id"] for post in sent]


def test_a_post_that_is_refused_is_named_and_takes_no_other_along(door: Door, shelf: Shelf) -> None:
    target = sending.Door(f"http://127.0.0.1:{door.port}", Settings)
    refused: list[dict[str, Any]] = [{"id": "none", "text": 3}, {"id": "large", "text": "x" * 600_000}]
    sent = [{"id": "1", "text": "a"}, refused[0], {"id": "2", "text": "b"}, refused[1], {"id": "3", "text": "c"}]
    found = [(posts, why) for posts, why in sending.send_all(target, sent) if why]
    target.close()
    assert [posts for posts, _ in found] == [[one] for one in refused]
    assert '"none": ' in found[0][1]
    assert "#/text: Input should be a valid string" in found[0][1]
    assert '"large": ' in found[1][1]
    assert [post.id for post in shelf.posts] == ["1", "2", "3"]


def test_without_a_plaint_that_runs_it_says_how_to_get_one() -> None:
    code, told = failure(run(TEXT))
    assert code == EXIT_USAGE
    assert "no `plaint up` of this user is running" in told
    assert "start `plaint up` in another terminal, or give --to URL" in told


def test_a_plaint_without_a_door_is_told_apart() -> None:
    with announced(KafkaSettings()):
        code, told = failure(run(TEXT))
    assert code == EXIT_USAGE
    assert "has no door" in told


def test_a_door_elsewhere_is_asked_with_the_token_of_the_settings(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_door(shelf, token=TOKENS[0]) as door:
        to = f"http://127.0.0.1:{door.port}/"
        code, told = failure(run("--to", to, TEXT))
        assert code == EXIT_USAGE
        assert "PLAINT_DOOR__TOKEN" in told
        monkeypatch.setenv("PLAINT_DOOR__TOKEN", TOKENS[1])
        wrong = run("--to", to, TEXT)
        assert (wrong.exit_code, shelf.posts) == (1, [])
        assert "answered 401: Nothing was taken: the bearer token is not known here." in wrong.stderr
        monkeypatch.setenv("PLAINT_DOOR__TOKEN", TOKENS[0])
        assert run("--to", to, TEXT).exit_code == 0
    assert [post.text for post in shelf.posts] == [TEXT]


def test_a_secret_of_the_settings_signs(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(SECRETS[1])
    (tmp_path / "own.yaml").write_text(f"door:\n  secret_file: {tmp_path / 'keys'}\n")
    with open_door(shelf, secret=SECRETS[1]) as door:
        done = run("--to", f"http://127.0.0.1:{door.port}/v1/posts", TEXT, config=tmp_path / "own.yaml")
    assert done.exit_code == 0, done.output
    assert len(shelf.posts) == 1


@pytest.mark.parametrize(
    "address", ["nonsense", "ftp://127.0.0.1", "http://", "http://[::1", "http://[::1]:x", "http://desk:0"]
)
def test_an_address_that_is_none_is_told(address: str) -> None:
    assert "write http://HOST:PORT" in failure(run("--to", address, TEXT))[1]


def test_a_door_that_does_not_answer_is_tried_for_a_while() -> None:
    code, told = failure(run("--to", f"http://127.0.0.1:{free_ports(1)[0]}", TEXT))
    assert code == EXIT_UNAVAILABLE
    assert "does not take posts: [Errno" in told


@pytest.mark.usefixtures("door")
def test_a_door_under_pressure_is_waited_for(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE_S", 60)
    shelf.refuses.append(Busy())
    began = time.monotonic()
    assert run(TEXT).exit_code == 0
    assert time.monotonic() - began >= 1, "the door said when to come back"
    assert len(shelf.posts) == 1


@pytest.mark.usefixtures("door")
def test_pressure_that_does_not_end_is_unavailable(shelf: Shelf) -> None:
    shelf.wait_s = 99
    began = time.monotonic()
    code, told = failure(run(TEXT))
    assert time.monotonic() - began < 5, "the door wants 5 s, which is more than there are"
    assert code == EXIT_UNAVAILABLE
    assert "Kafka does not acknowledge" in told


@pytest.mark.usefixtures("door")
def test_a_refusal_is_told_field_by_field_and_moves_no_terminal() -> None:
    done = run("--id", "x" * 600, TEXT)
    assert done.exit_code == 1
    assert "#/id: String should have at most 512 characters" in done.stderr
    assert "\x1b" not in run("--id", "\x1b[31mred", TEXT).output


def test_with_brokers_in_the_settings_and_no_door_it_writes_to_kafka_itself(
    new_tansu: str, monkeypatch: pytest.MonkeyPatch, shelf: Shelf
) -> None:
    ensure_topics(KafkaSettings(brokers=(new_tansu,)), [])
    monkeypatch.setenv("PLAINT_KAFKA__BROKERS", json.dumps([new_tansu]))
    monkeypatch.setenv("PLAINT_KAFKA__IDEMPOTENT_PRODUCER", "false")
    with open_door(shelf) as door, announced(KafkaSettings(), door=f"http://127.0.0.1:{door.port}"):
        done = run("--id", "own", TEXT)  # the up that runs here has another Kafka
    assert done.exit_code == 0, done.output
    assert shelf.posts == []
    [record] = posts(new_tansu, 1)
    post = Post.from_bytes(record.value)
    assert (post.id, post.text, post.source, record.key) == ("own", TEXT, "send", b"own")
    assert post.received_at
    assert run("--id", "x" * 600, TEXT).exit_code == 1


@pytest.mark.kafka
def test_without_topics_nothing_is_sent_and_none_is_made(
    new_kafka: Callable[..., KafkaProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = new_kafka(properties={"auto.create.topics.enable": "true"})
    monkeypatch.setattr(sending, "PATIENCE_S", 60)
    monkeypatch.setenv("PLAINT_KAFKA__BROKERS", json.dumps([node.bootstrap]))
    began = time.monotonic()
    code, told = failure(run(TEXT))
    assert time.monotonic() - began < 60, "a topic that is not there is not waited for"
    assert code == EXIT_USAGE
    assert "plaint.posts: does not exist" in told
    assert "`plaint topics --create`" in told
    with open_admin(KafkaSettings(brokers=(node.bootstrap,)), 20) as admin:
        assert admin.list_topics() == []


def test_an_up_on_the_brokers_of_the_settings_takes_it_by_its_door(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAINT_KAFKA__BROKERS", '["127.0.0.1:1"]')
    with open_door(shelf) as door, announced(None, brokers=("localhost:1",), door=f"http://127.0.0.1:{door.port}"):
        assert run(TEXT).exit_code == 0
    assert len(shelf.posts) == 1


def test_an_up_on_other_brokers_than_those_of_the_settings_gets_nothing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAINT_KAFKA__BROKERS", '["127.0.0.1:1"]')
    with open_door(shelf) as door, announced(None, brokers=("stage:9092",), door=f"http://127.0.0.1:{door.port}"):
        code, told = failure(run(TEXT))
    assert code == EXIT_UNAVAILABLE
    assert "127.0.0.1:1: Connection refused" in told
    assert shelf.posts == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT TESTED: this system has no /dev/full")
def test_a_full_disk_under_what_it_says_is_no_reason_to_send_again(shelf: Shelf, tmp_path: Path) -> None:
    with open_door(shelf) as door, Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "plaint", "send", "--to", f"http://127.0.0.1:{door.port}", TEXT],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            timeout=60,
        )
    assert done.stderr == b"plaint: No space left on device: what was done is done, what it says of it is lost\n"
    assert done.returncode == 0
    assert len(shelf.posts) == 1


@pytest.mark.usefixtures("door")
def test_who_waits_for_tickets_where_no_inbox_is_has_sent_nothing(shelf: Shelf) -> None:
    done = run("--wait", TEXT)
    assert done.exit_code == EXIT_USAGE
    assert "nothing was sent: --wait needs the inbox" in done.output
    assert shelf.posts == []


@asynccontextmanager
async def an_inbox(shelf: Shelf) -> AsyncIterator[Peer]:
    """That of the ``plaint up`` that runs here, with its door."""
    settings = InboxSettings(secret=SecretStr(SECRET), port=0, keep=150)
    async with running(settings) as url, aiohttp.ClientSession() as session:
        with open_door(shelf) as door, announced(None, door=f"http://127.0.0.1:{door.port}", inbox=url):
            yield Peer(url, session)


async def waited(*arguments: str) -> str:
    """What ``send --wait`` says, beside an inbox that goes on taking tickets."""
    done = await asyncio.to_thread(run, "--wait", *arguments)
    assert done.exit_code == 0, done.output
    return done.output


def ticket(post: str, queue: str = "helpdesk", **fields: Any) -> dict[str, Any]:
    return a_ticket(post, key=ticket_key(post, queue), destination=queue, why=f"For {queue}.", **fields)


async def test_a_ticket_is_found_however_many_others_came_after_it(shelf: Shelf) -> None:
    async with an_inbox(shelf) as inbox:
        await inbox.send(ticket("router-1"))
        for number in range(120):
            await inbox.send(ticket(f"other-{number}"))
        assert "ticket for helpdesk, priority urgent: For helpdesk." in await waited("--id", "router-1", TEXT)


async def test_every_ticket_of_a_post_is_waited_for_and_not_only_the_first(shelf: Shelf) -> None:
    async with an_inbox(shelf) as inbox:
        waiting = asyncio.create_task(waited("--id", "router-1", TEXT))
        await until(lambda: _is_sent(shelf))
        await inbox.send(ticket("router-1"))
        await asyncio.sleep(0.2)  # as far apart as two deliver workers may be
        await inbox.send(ticket("router-1", "service"), queue="service")
        said = await waiting
        assert "For helpdesk." in said
        assert "For service." in said


async def test_after_an_edit_only_what_the_edit_came_to_is_told(shelf: Shelf) -> None:
    async with an_inbox(shelf) as inbox:
        await inbox.send(ticket("router-1"))
        waiting = asyncio.create_task(waited("--id", "router-1", "--event", "edit", "it works now, thanks"))
        await until(lambda: _is_sent(shelf))
        await inbox.send(ticket("router-1", op="withdraw", revision=2, text=""))
        await inbox.send(ticket("router-1", "marketing", revision=2, priority="low"), queue="marketing")
        said = await waiting
        assert "ticket for helpdesk: withdrawn" in said
        assert "ticket for marketing, priority low: For marketing." in said
        assert "urgent" not in said


async def test_where_no_ticket_came_in_time_it_says_no_more_than_that(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "TICKET_PATIENCE_S", 0.2)
    async with an_inbox(shelf) as inbox:
        await inbox.send(ticket("router-1"))
        assert "no ticket of it within" in await waited("--id", "router-1", "--event", "delete")


async def _is_sent(shelf: Shelf) -> bool:
    return bool(shelf.posts)


@pytest.mark.parametrize("arguments", [[TEXT], ["--json", TEXT]], ids=["text", "json"])
def test_whoever_reads_no_more_of_what_was_sent_makes_it_no_failure(
    door: Door, shelf: Shelf, tmp_path: Path, arguments: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        command_line = [sys.executable, "-m", "plaint", "send", *arguments]
        done = subprocess.run(command_line, stdout=closed, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(shelf.posts) == 1


@pytest.mark.usefixtures("door")
def test_an_id_with_a_line_break_forges_no_line(shelf: Shelf) -> None:
    done = run("--id", "1\nsent 2", TEXT)
    assert done.output.splitlines()[0] == "sent 1\\nsent 2"
    assert len(done.output.splitlines()) == 2


@pytest.mark.usefixtures("door")
def test_the_help_has_an_example(shelf: Shelf) -> None:
    help_ = run("--help").output
    assert 'plaint send "my router is dead for the third time, nobody answers"' in help_
    assert shelf.posts == []


def test_it_costs_little_to_start() -> None:
    code = "import sys, plaint.commands.send; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "plaint.send" in loaded
    assert not {"aiohttp", "kafka", "faust", "onnxruntime", "plaint.settings"} & set(loaded)
