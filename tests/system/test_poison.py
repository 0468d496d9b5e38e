"""Whatever lies on a topic ends as a result, a drop or a dead letter, and the record behind it passes."""

import json
import time

import pytest

from tests.system import wire
from tests.system.lab import PATIENCE_S, Lab
from tests.system.poison import BAD_NAME, BOMB, DROPPED, PASSES, POSTS, post
from tests.system.poison_later import TRIAGES, deliveries, ticket, tickets, triage
from tests.system.raw import PARTITIONS, Writer, is_letter_of, until

pytestmark = pytest.mark.kafka


def test_posts_topic(lab: Lab) -> None:
    began = time.time()
    places, own, behind = lab.put_with_sound(wire.POSTS, POSTS, post())
    lab.wait_for_triages(behind)
    found = lab.letters_of(wire.POSTS, POSTS, places, own)
    for name, own_id in own.items():
        triaged = [triages for post_id, triages in lab.records.triages.items() if post_id.startswith(own_id)]
        if triaged:
            assert len(triaged) == len(triaged[0]) == 1, name
            assert name not in found
            found[name] = PASSES
    assert {name: found.get(name, DROPPED) for name in POSTS} == {name: case.outcome for name, case in POSTS.items()}
    lab.untroubled(began)


def test_posts_topic_with_records_that_are_small_only_while_compressed(lab: Lab) -> None:
    began = time.time()
    named, sound = lab.ids(2)
    with Writer(lab.stack.bootstrap, "gzip") as compressed:
        place = compressed.put(wire.POSTS, 0, BOMB.value)()
        compressed.put(wire.POSTS, 0, POSTS[BAD_NAME].filled(named), headers=POSTS[BAD_NAME].headers)()
        compressed.put(wire.POSTS, 0, post().replace(b"ID", sound.encode()))()
    lab.wait_for_triages([named, sound])
    lab.records.read()
    assert lab.records.reasons(place) == [BOMB.outcome]
    assert is_letter_of(lab.records.letters[place][0], BOMB.value, b"key")
    lab.untroubled(began)


def test_triaged_topic(lab: Lab) -> None:
    began = time.time()
    cases = TRIAGES | {f"post: {name}": case.elsewhere() for name, case in POSTS.items()}
    del cases[f"post: {BAD_NAME}"]  # the test's own reader stumbles over it
    del cases["post: a byte larger than a record may be"]  # a triage may be larger than its post
    places, own, behind = lab.put_with_sound(wire.TRIAGED, cases, triage())
    tickets_of = {
        name: _ticket_of(case.filled(own[name])) for name, case in cases.items() if case.outcome in (PASSES, DROPPED)
    }
    sound = {wire.webhook_id(wire.ticket_key(post_id, "helpdesk"), 0) for post_id in behind}
    passing = {webhook_id for name, webhook_id in tickets_of.items() if cases[name].outcome == PASSES}
    taken = lab.wait_for_tickets(sound | passing)
    found = lab.letters_of(wire.TRIAGED, cases, places, own)
    assert not tickets_of.keys() & found.keys()
    found |= {name: PASSES if webhook_id in taken else DROPPED for name, webhook_id in tickets_of.items()}
    assert found == {name: case.outcome for name, case in cases.items()}
    lab.untroubled(began)


def _ticket_of(value: bytes | None) -> str:
    """The webhook id at the helpdesk that comes of a triage."""
    found = json.loads(value or b"")["post"]
    return wire.webhook_id(wire.ticket_key(found["id"], "helpdesk"), found.get("revision", 0))


@pytest.mark.parametrize("destination", ["service"])
def test_tickets_topic(lab: Lab, destination: str) -> None:
    began = time.time()
    topic = wire.tickets(destination)
    made = list(tickets(destination, "helpdesk"))
    cases = {name: case for name, _, _, case in made}
    cases |= {f"post: {name}": case.elsewhere() for name, case in POSTS.items()}
    sound = json.dumps(ticket("ID" + "b" * 20, destination)).encode()
    places, own, behind = lab.put_with_sound(topic, cases, sound)
    passing = {
        name: wire.webhook_id(key, fields["revision"]) for name, key, fields, case in made if case.outcome == PASSES
    }
    taken = lab.wait_for_tickets({f"{i}{'b' * 20}-0" for i in behind} | set(passing.values()))
    found = lab.letters_of(topic, cases, places, own)
    assert not found.keys() & passing.keys()
    found |= {name: PASSES if webhook_id in taken else DROPPED for name, webhook_id in passing.items()}
    assert {name: found.get(name, DROPPED) for name in cases} == {name: case.outcome for name, case in cases.items()}
    lab.untroubled(began)


def test_delivery_log(lab: Lab) -> None:
    """Live, and read again by a worker that starts. A forged owner record costs its partition a session."""
    began, destination = time.time(), "helpdesk"
    worker = lab.stack.workers[f"{destination}-0"]
    for number, (_, key, value) in enumerate(deliveries(destination)):
        lab.writer.put(wire.deliveries(destination), number % PARTITIONS, value, key)()
    until(lambda: "has a newer owner" in worker.log.read_text(), PATIENCE_S, worker.said)
    _sound_tickets_pass(lab, destination, "c")
    lab.untroubled(began)
    worker.end()
    _sound_tickets_pass(lab, destination, "d")
    lab.untroubled(began)


def _sound_tickets_pass(lab: Lab, destination: str, fill: str) -> None:
    keys = [f"{number:08x}".ljust(32, fill) for number in range(PARTITIONS)]
    for partition, key in enumerate(keys):
        lab.writer.put(wire.tickets(destination), partition, json.dumps(ticket(key, destination)).encode())
    taken = lab.wait_for_tickets({wire.webhook_id(key, 0) for key in keys})
    assert not any(webhook_id.startswith("dead" * 8) for webhook_id in taken)
