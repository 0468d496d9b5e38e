"""The witnesses of the system tests are checked themselves: a wire that saw nothing would find everything well."""

import http.server
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.system.evidence import Evidence, Step
from tests.system.kills import was_in_flight
from tests.system.outages import most_at_once
from tests.system.stack import Incident
from tests.system.verdict import repeated
from tests.system.wiretap import Request, Wiretap


class _Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/drop":
            self.close_connection = True
            return
        self.send_response(201)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def wiretap() -> Iterator[Wiretap]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with Wiretap(server.server_address[1]) as tap:
            yield tap
        server.shutdown()
        thread.join()


def _post(port: int, path: str, webhook_id: str) -> int:
    headers = {"Webhook-Id": webhook_id}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=b"{}" * 5000, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(answer.status)


def test_the_wire_tells_who_sent_what_and_what_came_back(wiretap: Wiretap) -> None:
    first, second = wiretap.door("helpdesk-0"), wiretap.door("helpdesk-1")
    assert _post(first, "/", "a-0") == 201
    with pytest.raises(OSError):
        _post(second, "/drop", "a-0")
    seen = [(r.worker, r.webhook_id, r.status) for r in wiretap.sent()]
    assert seen == [("helpdesk-0", "a-0", 201), ("helpdesk-1", "a-0", None)]
    assert [r.dropped for r in repeated(wiretap.sent())["a-0"]] == [False, True]


def test_a_shut_wire_refuses_connections_until_it_is_opened(wiretap: Wiretap) -> None:
    door = wiretap.door("helpdesk-0")
    wiretap.shut()
    with pytest.raises(urllib.error.URLError, match="refused"):
        _post(door, "/", "a-0")
    wiretap.open()
    assert _post(door, "/", "a-0") == 201


def test_a_wire_that_the_machine_let_wait_says_so(wiretap: Wiretap) -> None:
    assert _post(wiretap.door("helpdesk-0"), "/", "a-0") == 201
    wiretap._loop.call_soon_threadsafe(time.sleep, 0.5)
    while wiretap.late_s < 3 * 0.4:
        time.sleep(0.01)


def test_a_request_was_in_flight_only_if_its_worker_was_killed_before_it_can_have_written_the_outcome() -> None:
    kills = [Incident(100.0, "helpdesk-0", "killed")]
    assert was_in_flight(Request(99.9, "helpdesk-0", "a-0"), kills)
    assert was_in_flight(Request(99.0, "helpdesk-0", "a-0", 201, 99.5), kills)
    assert not was_in_flight(Request(99.9, "helpdesk-1", "a-0"), kills)
    assert not was_in_flight(Request(90.0, "helpdesk-0", "a-0", 201, 90.1), kills)
    assert not was_in_flight(Request(101.0, "helpdesk-0", "a-0"), kills)
    assert was_in_flight(Request(101.0, "helpdesk-0", "a-0"), kills, late_s=0.6)


def test_requests_are_counted_at_once_while_they_have_no_answer() -> None:
    requests = [Request(1.0, "w", "a-0", 201, 3.0), Request(2.0, "w", "b-0", 201, 4.0), Request(3.5, "w", "c-0")]
    assert most_at_once(requests) == 2
    assert most_at_once([*requests, Request(3.6, "w", "d-0")]) == 3


def test_the_newest_owner_record_before_a_time_and_those_in_it_name_the_owners() -> None:
    seen = Evidence()
    seen.owners["helpdesk", 0] += [(10.0, "helpdesk-0"), (20.0, "helpdesk-1")]
    times = ((4.0, 5.0), (9.0, 10.0), (11.0, 19.9), (19.0, 20.0), (20.0, 30.0))
    assert [seen.owners_between("helpdesk", 0, *time) for time in times] == [
        set(),
        {"helpdesk-0"},
        {"helpdesk-0"},
        {"helpdesk-0", "helpdesk-1"},
        {"helpdesk-1"},
    ]


def test_a_ticket_that_a_later_record_opens_again_is_found() -> None:
    seen = Evidence()
    steps = [Step("sending", 0, 0, 1, 1.0, True), Step("done", 0, 0, 2, 2.0, False)]
    seen.deliveries["helpdesk", "well"] += steps
    seen.deliveries["helpdesk", "bounced"] += [*steps, Step("accepted", 0, 0, 3, 3.0, True)]
    seen.deliveries["helpdesk", "updated"] += [*steps, Step("accepted", 1, 0, 3, 3.0, True)]
    assert seen.reopened() == [("helpdesk", "bounced")]
    assert seen.settled("helpdesk", "well") == "done"
    assert seen.settled("helpdesk", "bounced") is None
