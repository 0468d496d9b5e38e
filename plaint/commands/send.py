"""``plaint send``: a post from the shell."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from plaint import send as sending
from plaint.diagnosis.quiet import hush
from plaint.logs import escaped
from plaint.terminal import TEXT, as_typed, echo_to_who_listens, one_line

SHOWN_IDS = 20
TICKET_PATIENCE_S = 10.0


@click.command()
@click.argument("text", type=TEXT, nargs=-1)
@click.option(
    "--file", type=click.File("rb"), help="Send each line of a file of JSON Lines instead; - is standard input."
)
@click.option("--id", "post_id", type=TEXT, help="The post's own id; without it one is made.")
@click.option("--event", type=click.Choice(["create", "edit", "delete"]), default="create", show_default=True)
@click.option("--author", type=TEXT, help="Handle of who wrote it.")
@click.option("--network", type=TEXT, help="Where it was posted.")
@click.option("--language", help="Language of the text, such as en.")
@click.option("--to", default="", metavar="URL", help="A door elsewhere, such as https://plaint.example.com.")
@click.option(
    "--wait", is_flag=True, help="Wait up to 10 s for its tickets and show them (with the inbox of plaint up)."
)
@click.option("--json", "as_json", is_flag=True, help="Say what was sent as one JSON object.")
@click.pass_obj
def send(
    config: Path | None,
    text: tuple[str, ...],
    file: Iterable[bytes] | None,
    post_id: str | None,
    event: str,
    author: str | None,
    network: str | None,
    language: str | None,
    to: str,
    wait: bool,
    as_json: bool,
) -> None:
    """Send a post to the plaint that runs here, or to the Kafka of the settings; - reads the text from standard input.

    It goes through the door of the running `plaint up`, or of the one at --to, which is asked with the door.secret or
    door.token of the settings. Exit code 0 once Kafka has all of it, 1 if a post was refused.

    \b
    plaint send "my router is dead for the third time, nobody answers"
    plaint send --wait --author @ann my parcel never came
    plaint send --id 17 --event delete
    plaint send --file posts.jsonl
    """
    hush()
    faults: list[str] = []
    if file is not None:
        if text or post_id or event != "create" or author or network or language:
            raise click.UsageError("with --file everything about a post stands in its line")
        posts: Iterable[dict[str, Any]] = sending.posts_in(
            file, lambda number, what: _complain(faults, f"line {number}: {what}")
        )
    else:
        posts = [_post(_text(text, event), post_id, event, author, network, language)]
    found = sending.find_target(config, to)
    if wait and not found.inbox:
        raise click.UsageError(
            "nothing was sent: --wait needs the inbox of a running `plaint up`; send without it, then plaint explain ID"
        )
    ids: list[str] = []
    first: list[dict[str, Any]] = []
    began = time.time()
    with closing(found.target):
        for batch, refusal in sending.send_all(found.target, posts):
            if refusal:
                _complain(faults, refusal)
            else:
                ids += [post["id"] for post in batch]
                first += batch[: SHOWN_IDS - len(first)]
    tickets = sending.tickets_of(first, began, found.inbox, TICKET_PATIENCE_S) if wait else None
    _tell(ids, found.inbox, tickets, as_json)
    sys.exit(1 if faults else 0)


def _text(words: tuple[str, ...], event: str) -> str | None:
    """Raises UsageError if there is none."""
    if event == "delete":
        return None
    text = _from_stdin() if words == ("-",) else " ".join(words)
    if not text.strip():
        raise click.UsageError('there is no text: plaint send "my router is dead", or - to read it from standard input')
    return text.rstrip("\n")


def _from_stdin() -> str:
    return as_typed(click.get_text_stream("stdin", errors="surrogateescape").read())


def _post(
    text: str | None, post_id: str | None, event: str, author: str | None, network: str | None, language: str | None
) -> dict[str, Any]:
    if event != "create" and not post_id:
        raise click.UsageError(f"--event {event} needs the --id of the post")
    given = {"text": text, "event": event if event != "create" else None, "network": network, "language": language}
    post: dict[str, Any] = {"id": post_id or sending.new_id(), "source": sending.SOURCE}
    post |= {name: value for name, value in given.items() if value is not None}
    return post | ({"author": {"handle": author}} if author else {})


def _complain(faults: list[str], what: str) -> None:
    faults.append(what)
    echo_to_who_listens(escaped(f"plaint: {what}"), err=True)


def _tell(ids: list[str], inbox: str, tickets: list[dict[str, Any]] | None, as_json: bool) -> None:
    if as_json:
        found = {"accepted": len(ids), "ids": ids, "inbox": inbox or None}
        echo_to_who_listens(json.dumps(found if tickets is None else found | {"tickets": tickets}))
        return
    for line in _lines(ids, inbox, tickets):
        echo_to_who_listens(one_line(line))


def _lines(ids: list[str], inbox: str, tickets: list[dict[str, Any]] | None) -> Iterator[str]:
    yield from (f"sent {id_}" for id_ in ids[:SHOWN_IDS])
    if len(ids) > SHOWN_IDS:
        yield f"and {len(ids) - SHOWN_IDS} more"
    yield from (f"ticket for {held['queue']}{_said(held)}" for held in tickets or [])
    if ids and tickets is not None and not tickets:
        yield f"no ticket of it within {TICKET_PATIENCE_S:.0f} s"
    if ids:
        where = f"; tickets: {inbox}" if inbox else ""
        yield f"what becomes of it: plaint explain {ids[0]}{where}"


def _said(held: dict[str, Any]) -> str:
    ticket = held["ticket"]
    if ticket is None:
        return ": withdrawn" if held["withdrawn"] else ": its text is no longer held"
    return f", priority {ticket['priority']}: {ticket['why']}"
