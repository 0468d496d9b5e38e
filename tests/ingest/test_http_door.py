"""What the door answers to each kind of request, right or wrong, and that nothing can hold it up."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from ingest.http import handlers, server
from ingest.http.keys import proof
from ingest.http.listening import CannotListen
from ingest.http.settings import DoorSettings
from ingest.publish import Busy, PublishFailed
from plaint.monitoring.metrics import DOOR_REQUESTS
from schemas.record import MAX_RECORD_BYTES
from tests.ingest.http_door import POST, SECRETS, TOKENS, Door, Running, Shelf, open_door, read_all


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def door(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """One that everybody on this machine may use."""
    monkeypatch.setattr(server, "LINGER_S", 0.1)
    with open_door(shelf, max_body_bytes=600_000, max_posts=3) as door:
        yield door


@pytest.fixture
def guarded(shelf: Shelf, tmp_path: Path) -> Iterator[Door]:
    """One that takes two secrets and two tokens."""
    (tmp_path / "secrets").write_text(SECRETS[1] + "\n")
    (tmp_path / "tokens").write_text("\n".join(TOKENS))
    kept = {"secret": SECRETS[0], "secret_file": tmp_path / "secrets", "token_file": tmp_path / "tokens"}
    with open_door(shelf, **kept) as door:
        yield door


def test_a_post_is_taken_with_all_it_says_but_the_time_of_its_receipt(door: Door, shelf: Shelf) -> None:
    given = POST | {"author": {"id": 7, "followers": 12}, "source": "crm", "received_at": "2001-01-01T00:00:00Z"}
    answer = door.post(given)
    assert (answer.status, answer.json) == (202, {"accepted": 1})
    [post] = shelf.posts
    assert (post.id, post.text, post.author.id, post.author.followers) == ("1", POST["text"], "7", 12)
    assert (post.source, post.received_at) == ("crm", None)


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson", "application/json; charset=UTF-8"])
def test_several_are_taken_in_their_order(door: Door, shelf: Shelf, kind: str) -> None:
    posts = [POST | {"id": str(number)} for number in range(3)]
    lines = b"\n\n".join(json.dumps(post).encode() for post in posts) + b"\n"
    answer = door.post(lines if "ndjson" in kind else posts, Content_Type=kind)
    assert (answer.status, answer.json) == (202, {"accepted": 3})
    assert [post.id for post in shelf.posts] == ["0", "1", "2"]


def test_one_fault_refuses_the_whole_batch_and_every_fault_is_named(door: Door, shelf: Shelf) -> None:
    answer = door.post([POST, {"id": ""}, {"id": "3", "text": 5, "author": {"followers": -1}, "event": "like"}])
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.pointers == ["#/1/text", "#/1/id", "#/2/text", "#/2/event", "#/2/author/followers"]
    assert answer.json["title"] == "Bad Request"
    assert answer.json["status"] == 400
    assert "5 faults" in answer.json["detail"]
    assert shelf.posts == []


def test_a_post_without_an_id_is_told_what_is_missing(door: Door) -> None:
    answer = door.post({"text": "My router is dead"})
    assert answer.pointers == ["#/id"]
    assert answer.json["detail"] == "Nothing was taken: #/id: Field required"


def test_too_large_is_told_before_it_is_read_or_as_soon_as_it_is(door: Door, shelf: Shelf) -> None:
    head = b"POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert b" 413 " in door.raw(head + b"Content-Length: 99999999999\r\n\r\n")
    chunk = b"%x\r\n%s\r\n" % (500_000, b"x" * 500_000)
    assert b" 413 " in door.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk)
    answer = door.post([POST, POST | {"text": "x" * (MAX_RECORD_BYTES + 1)}])
    assert (answer.status, answer.pointers) == (413, ["#/1"])
    assert shelf.posts == []
    assert door.post(POST).status == 202


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Content_Type": "text/plain"}, "application/json"),
        ({"Content_Type": "application/x-www-form-urlencoded"}, "application/json"),
        ({"Content_Type": "nonsense"}, "application/json"),
        ({"Content_Type": "application/json; charset=latin-1"}, "charset"),
        ({"Content_Encoding": "gzip"}, "compressed"),
    ],
)
def test_what_is_not_json_is_told_what_would_be_taken(door: Door, headers: dict[str, str], why: str) -> None:
    answer = door.post(POST, **headers)
    assert answer.status == 415
    assert why in answer.json["detail"]
    assert answer.headers["Accept-Post"] == "application/json, application/x-ndjson"


def test_other_paths_and_methods_are_problems_too(door: Door) -> None:
    missing = door.request("GET", "/v1/other")
    assert (missing.status, missing.json["title"]) == (404, "Not Found")
    wrong = door.request("OPTIONS", "/v1/posts")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
    assert "Access-Control-Allow-Origin" not in wrong.headers
    expects = door.post(POST, Expect="a-miracle")
    assert (expects.status, expects.headers["Content-Type"]) == (417, "application/problem+json")


def test_the_page_tells_every_field_and_runs_no_script(door: Door) -> None:
    page = door.request("GET", "/")
    described = door.request("GET", "/openapi.json").json
    assert "script" not in page.body.decode()
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for name, field in described["components"]["schemas"]["Post"]["properties"].items():
        assert f"<code>{name}</code>" in page.body.decode()
        assert field["description"]


def test_each_secret_and_each_token_is_taken(guarded: Door, shelf: Shelf) -> None:
    body = json.dumps(POST).encode()
    for secret in SECRETS:
        assert guarded.post(body, **proof([secret], [], body)).status == 202
    for token in TOKENS:
        assert guarded.post(body, **proof([], [token], body)).status == 202
        assert guarded.post(body, Authorization=f"bearer  {token}").status == 202
    assert len(shelf.posts) == 6


def signed(body: bytes, secret: str = SECRETS[0], at: datetime | None = None, **changed: str) -> dict[str, str]:
    """The headers of a signature, with underscores."""
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign("msg_1", at, body.decode())
    made = {"webhook_id": "msg_1", "webhook_timestamp": str(int(at.timestamp())), "webhook_signature": signature}
    return {name: text for name, text in (made | changed).items() if text}


BODY = json.dumps(POST).encode()
WRONG: dict[str, Callable[[], dict[str, str]]] = {
    "nothing": dict,
    "another secret": lambda: signed(BODY, "whsec_" + "b3RoZXI=" * 4),
    "another body": lambda: signed(BODY + b" "),
    "another id": lambda: signed(BODY, webhook_id="msg_2"),
    "no id": lambda: signed(BODY, webhook_id=""),
    "no time": lambda: signed(BODY, webhook_timestamp=""),
    "no signature": lambda: signed(BODY, webhook_signature=""),
    "no number as time": lambda: signed(BODY, webhook_timestamp="nan"),
    "an old one": lambda: signed(BODY, at=datetime.now(UTC) - timedelta(minutes=6)),
    "one from the future": lambda: signed(BODY, at=datetime.now(UTC) + timedelta(minutes=6)),
    "no base64": lambda: signed(BODY, webhook_signature="v1,%%%"),
    "no version": lambda: signed(BODY, webhook_signature="abc"),
    "another version": lambda: signed(BODY, webhook_signature=signed(BODY)["webhook_signature"].replace("v1,", "v2,")),
    "another token": lambda: {"Authorization": "Bearer another-token-of-tests"},
    "no token": lambda: {"Authorization": "Bearer"},
    "another scheme": lambda: {"Authorization": f"Basic {TOKENS[0]}"},
    "a part of a token": lambda: {"Authorization": f"Bearer {TOKENS[0][:-1]}"},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
def test_who_does_not_prove_who_they_are_is_refused(
    guarded: Door, shelf: Shelf, headers: Callable[[], dict[str, str]]
) -> None:
    answer = guarded.post(BODY, **headers())
    assert answer.status == 401
    assert guarded.counted() == {("401", "unauthorized"): 1}
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert shelf.posts == []
    assert not any(key in answer.body.decode() for key in (*SECRETS, *TOKENS))


def test_a_sender_that_rotates_its_keys_may_sign_with_both(guarded: Door) -> None:
    other = signed(BODY, "whsec_" + "b3RoZXI=" * 4)["webhook_signature"]
    assert (
        guarded.post(BODY, **signed(BODY, webhook_signature=f"{other} {signed(BODY)['webhook_signature']}")).status
        == 202
    )


def test_a_body_that_is_no_text_can_be_signed_by_nobody(guarded: Door) -> None:
    assert guarded.post(b"\xff\xfe", **signed(b"x")).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "attacker.example:8320"},
        {"Host": "127.0.0.1.attacker.example"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_a_web_page_in_a_browser_on_this_machine_can_send_nothing(
    door: Door, shelf: Shelf, headers: dict[str, str]
) -> None:
    assert door.post(POST, **headers).status in (403, 421)
    assert shelf.posts == []


def test_a_form_of_a_web_page_is_refused_by_its_type_even_without_an_origin(door: Door, shelf: Shelf) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert door.post(POST, Content_Type=kind).status == 415
    assert shelf.posts == []


def test_behind_a_proxy_the_host_may_be_any(guarded: Door) -> None:
    assert guarded.post(POST, Host="posts.example.com", Authorization=f"Bearer {TOKENS[0]}").status == 202


def test_a_door_that_others_reach_does_not_open_without_a_secret(shelf: Shelf) -> None:
    with pytest.raises(ValueError, match="needs a secret or a token"):
        Running(DoorSettings(host="0.0.0.0", port=0), shelf)
    with open_door(shelf, host="0.0.0.0", token=TOKENS[0]) as door:
        assert door.post(POST).status == 401


def test_a_port_that_is_taken_is_told_with_its_mend(door: Door) -> None:
    with pytest.raises(CannotListen, match=r"port \d+: Address already in use; .* set door\.port"):
        server.listen(DoorSettings(port=door.port))
    with pytest.raises(CannotListen, match=r"mend door\.host"):
        server.listen(DoorSettings(host="no.such.host.invalid", port=0))


def test_pressure_is_told_with_when_to_come_back(door: Door, shelf: Shelf) -> None:
    shelf.raises = Busy()
    busy = door.post(POST)
    assert (busy.status, busy.headers["Retry-After"]) == (429, "1")
    shelf.raises, shelf.wait_s = None, 10.5
    away = door.post(POST)
    assert (away.status, away.headers["Retry-After"]) == (503, "5")
    assert shelf.posts == []


def test_nothing_is_accepted_before_it_is_acknowledged(shelf: Shelf) -> None:
    shelf.acknowledges = False
    with open_door(shelf, ack_timeout_s=0.3) as door:
        answer = door.post(POST)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        shelf.waiting.pop()(None)  # too late for anybody
        assert door.counted() == {("503", "late_acknowledgement"): 1}
        assert door.counted("plaint_door_request_seconds_count") == {}
    with open_door(shelf) as door:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(door.post(POST).status))
        thread.start()
        while not shelf.waiting:
            time.sleep(0.001)
        assert answers == []
        shelf.waiting.pop()(None)
        thread.join()
        assert answers == [202]
        assert door.counted() == {("202", "none"): 1}
        assert door.counted("plaint_door_request_seconds_count") == {(): 1}


def test_what_makes_publishing_impossible_is_told_to_the_program_and_not_accepted(door: Door, shelf: Shelf) -> None:
    shelf.refusal = ValueError("never again")
    assert door.post(POST).status == 503
    shelf.refusal, shelf.raises = None, PublishFailed("no topic")
    assert door.post(POST).status == 503
    assert [type(error) for error in door.failures] == [PublishFailed, PublishFailed]


def test_every_answer_is_counted_once_by_its_status_and_why(door: Door, shelf: Shelf) -> None:
    assert door.post([POST, POST | {"id": "2"}]).status == 202
    assert door.request("GET", "/").status == 200
    assert door.post({"id": ""}).status == 400
    assert b" 400 " in door.raw(b"no HTTP\r\n\r\n")
    assert door.post(POST, Origin="null").status == 403
    for path, expect in (("/nowhere", {}), ("/nowhere", {"Expect": "a-miracle"})):
        assert door.request("GET", path, headers=expect).status == (417 if expect else 404)
    assert door.request("OPTIONS", "/v1/posts").status == 405
    assert door.post([POST, POST | {"text": "x" * (MAX_RECORD_BYTES + 1)}]).status == 413
    assert door.post(b" " * 600_001).status == 413
    assert door.post(POST, Content_Type="text/plain").status == 415
    assert door.post(POST, Host="attacker.example").status == 421
    for shelf.wait_s, shelf.raises in (
        (0, Busy()),
        (10.5, None),
        (0, RuntimeError("a bug")),
        (0, PublishFailed("gone")),
    ):
        assert door.post(POST).status in (429, 500, 503)
    assert door.counted() == dict.fromkeys(
        (
            ("202", "none"),
            ("200", "none"),
            ("400", "invalid_post"),
            ("400", "unreadable"),
            ("403", "web_page"),
            ("404", "unknown_page"),
            ("417", "expectation"),
            ("405", "method"),
            ("413", "large_post"),
            ("413", "large_body"),
            ("415", "content_type"),
            ("421", "host"),
            ("429", "many_unacknowledged"),
            ("503", "no_acknowledgement"),
            ("500", "failed"),
            ("503", "broken"),
        ),
        1,
    )
    assert door.counted("plaint_door_posts_total") == {(): 2}
    assert door.counted("plaint_door_request_seconds_count") == {(): 1}


def test_every_status_that_the_description_names_is_counted_from_the_start(door: Door) -> None:
    described = door.request("GET", "/openapi.json").json["paths"]["/v1/posts"]["post"]["responses"]
    by_server_or_bug = {"200", "404", "405", "417", "500"}
    assert {status for status, _ in DOOR_REQUESTS.sets or ()} == {*described, *by_server_or_bug}


HEAD = b"POST /v1/posts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
MALFORMED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a header without a colon": HEAD + b"nonsense\r\n\r\n",
    "a header with a line break": HEAD + b"A: b\r\n \x00c\r\n\r\n",
    "a huge header": HEAD + b"A: " + b"x" * 20_000 + b"\r\n\r\n",
    "many headers": HEAD + b"".join(b"A%d: b\r\n" % number for number in range(2_000)) + b"\r\n",
    "a huge line": b"POST /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
    "length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no number as length": HEAD + b"Content-Length: many\r\n\r\n{}",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n{}",
    "a chunk that is none": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a wrong method": b"P\xf6ST / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_request_is_a_problem_and_no_line_in_the_log(
    door: Door, shelf: Shelf, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    head, _, body = door.raw(data).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")), head
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400
    assert shelf.posts == []
    assert caplog.records == []
    assert door.post(POST).status == 202


def test_a_body_shorter_than_promised_is_no_post(door: Door, shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=60) as line:
        line.sendall(HEAD + b"Content-Length: 100\r\n\r\n" + BODY)
    with socket.create_connection(("127.0.0.1", door.port), timeout=60) as line:
        line.sendall(HEAD + b"Content-Length: 100\r\n\r\n" + BODY)
        line.shutdown(socket.SHUT_WR)
        read_all(line)
    assert door.post(POST).status == 202
    assert len(shelf.posts) == 1
    assert caplog.records == []


def test_what_is_left_over_of_a_body_is_no_part_of_the_post(door: Door, shelf: Shelf) -> None:
    answer = door.raw(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + b"GARBAGE\r\n\r\n")
    assert b" 400 " in answer
    assert answer.count(b" 202 ") == len(shelf.posts)


def test_a_slow_sender_is_let_go(door: Door, monkeypatch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    monkeypatch.setattr(handlers, "BODY_S", 0.3)
    monkeypatch.setattr(server, "LINGER_S", 0.1)
    with socket.create_connection(("127.0.0.1", door.port), timeout=60) as line:
        line.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        assert b" 408 " in read_all(line)
    assert door.counted() == {("408", "slow_body"): 1}
    assert shelf.posts == []


def test_a_connection_without_a_whole_head_is_closed(monkeypatch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.3)
    with open_door(shelf) as door:
        lines = [socket.create_connection(("127.0.0.1", door.port), timeout=60) for _ in range(20)]
        for number, line in enumerate(lines):
            line.sendall(HEAD[:number])
        for line in lines:
            with line:
                assert read_all(line) == b""


def test_connections_beyond_the_bound_are_closed_and_the_others_served(
    monkeypatch: pytest.MonkeyPatch, shelf: Shelf
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 5)
    with open_door(shelf) as door:
        lines = [socket.create_connection(("127.0.0.1", door.port), timeout=60) for _ in range(5)]
        first = HEAD + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY
        assert door.raw(first) == b""
        lines[0].sendall(first)
        assert read_all(lines[0]).startswith(b"HTTP/1.1 202 ")
        for line in lines:
            line.close()


def test_bodies_are_read_only_while_they_fit_into_memory(monkeypatch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    monkeypatch.setattr(handlers, "MAX_HELD_BYTES", 2_000)
    with open_door(shelf) as door, socket.create_connection(("127.0.0.1", door.port), timeout=60) as slow:
        slow.sendall(HEAD + b"Content-Length: 2000\r\n\r\n" + b" " * 1990)
        deadline = time.monotonic() + 60
        while (answer := door.post(POST)).status == 202 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert door.counted()["429", "many_bodies"] == 1
        slow.close()
        while (answer := door.post(POST)).status != 202:
            time.sleep(0.01)


def test_bodies_that_are_announced_and_do_not_come_take_no_room(monkeypatch: pytest.MonkeyPatch, shelf: Shelf) -> None:
    monkeypatch.setattr(handlers, "MAX_HELD_BYTES", 2_000)
    with open_door(shelf) as door, socket.create_connection(("127.0.0.1", door.port), timeout=60) as idle:
        idle.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 1990\r\n\r\n")
        assert b" 100 " in idle.recv(1000)
        assert door.post(POST).status == 202


@pytest.mark.parametrize("at_s", ["0", "1e18", "nan", "yesterday"])
def test_a_body_whose_signature_cannot_be_timely_is_not_waited_for(guarded: Door, shelf: Shelf, at_s: str) -> None:
    proof_of_none = b"webhook-id: 1\r\nwebhook-timestamp: %s\r\nwebhook-signature: v1,eA==\r\n" % at_s.encode()
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=60) as idle:
        idle.sendall(HEAD + proof_of_none + b"Content-Length: 1990\r\n\r\n")
        assert b" 401 " in idle.recv(1000)


def test_a_door_that_closes_answers_what_is_under_way_and_takes_no_more(shelf: Shelf) -> None:
    shelf.acknowledges = False
    running = Running(DoorSettings(port=0), shelf)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(running.door.post(POST)))
    thread.start()
    while not shelf.waiting:
        time.sleep(0.001)
    with socket.create_connection(("127.0.0.1", running.door.port), timeout=60) as half:
        half.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n")
        assert b" 100 " in half.recv(1000)
        half.sendall(b"{")
        running.ask_to_close()
        with pytest.raises(ConnectionRefusedError):  # noqa: PT012 - it may take a moment
            while True:
                socket.create_connection(("127.0.0.1", running.door.port), timeout=60).close()
                time.sleep(0.01)
        assert answers == []
        shelf.waiting.pop()(None)
        running.close()
        assert b" 408 " in read_all(half)
    thread.join(60)
    assert [answer.status for answer in answers] == [202]
