"""``plaint forget``: erases what plaint holds of a post or an author, and says what stays."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import click
from kafka.errors import KafkaError

from plaint.diagnosis.finding import count
from plaint.diagnosis.quiet import hush
from plaint.forget import OUTSIDE, Erased, Forgotten, Held, Kind, erase, find, remains
from plaint.kafka.admin import open_admin
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import TopicState, topic_states
from plaint.leftovers import find_strangers
from plaint.local.plan import stood_in
from plaint.local.running import destinations_at_hand, kafka_at_hand
from plaint.logs import escaped
from plaint.send import find_target
from plaint.settings import load_settings
from plaint.terminal import TEXT, Reading, echo_to_who_listens, shown_json, span
from schemas.faults import Unavailable
from schemas.topics import all_topics

ADMIN_S = 15.0
SHOWN = 20


@click.command()
@click.argument("who", type=TEXT, metavar="POST|AUTHOR")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["post", "author"]),
    help="What it is. Without it a post of that id is looked for, then an author. With `post` the delete is published even if "
    "the topics hold nothing any more: a destination may have a ticket.",
)
@click.option("--dry-run", is_flag=True, help="Only say what is held and what would stay.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="As JSON; needs --yes or --dry-run.")
@click.pass_obj
def forget(config: Path | None, who: str, kind: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Erase what plaint holds of a post, or of all posts of an author, and say what stays for how long.

    POST is a post's id; AUTHOR an author's id, network:handle, or the handle alone for posts without a network. A delete
    event is published, so that tickets are withdrawn at their destinations and compaction takes the text away. The stages
    must run for that, now or later.

    Topics of destinations that were taken out of the settings are looked through too.

    Exit code 0 if it is on its way, 1 if nothing is held or a delete was refused.

    \b
    plaint forget at://did:plc:abc/app.bsky.feed.post/3k2a --dry-run
    plaint forget mastodon:@jo@example.social
    plaint forget 170000001 --as post --yes --json
    """
    if not who.strip():
        raise click.UsageError("POST|AUTHOR is empty: name the id of a post, or an author")
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json can't ask: give --yes or --dry-run with it")
    hush()
    settings = load_settings(config)
    kafka = kafka_at_hand(settings)
    known = tuple(dict.fromkeys([*destinations_at_hand(settings), *stood_in(settings)]))
    removed = asyncio.run(find_strangers(kafka, known))
    destinations = (*known, *removed)
    with Reading("looking through the topics") as reading:
        held = asyncio.run(find(kafka, destinations, who, cast("Kind | None", kind), reading))
    if held is None:
        mend = "if it is a post's id, `--as post` has tickets of it withdrawn all the same"
        echo_to_who_listens(escaped(f"nothing is held of {who}; {mend}"), err=True)
        sys.exit(1)
    if not as_json:
        _show(_held(held))
    if not (dry_run or yes):
        click.confirm(f"Delete {count(len(held.posts), 'post')}, and withdraw the tickets?", abort=True)
    erased = Erased(0, ()) if dry_run else _erase(config, kafka, held)
    is_embedded = not settings.kafka.brokers and settings.broker.embedded == "tansu"
    stays = remains(held, _states(kafka, destinations), is_embedded, removed)
    done = Forgotten(held=held, published=not dry_run, deletes=erased.taken, refused=erased.refused, remains=stays)
    if as_json:
        echo_to_who_listens(shown_json(done.model_dump_json(indent=2)))
    else:
        _show(_told(done))
    sys.exit(1 if done.refused else 0)


def _erase(config: Path | None, kafka: KafkaSettings, held: Held) -> Erased:
    with closing(find_target(config).target) as target:
        return asyncio.run(erase(kafka, target, held))


def _states(kafka: KafkaSettings, destinations: tuple[str, ...]) -> list[TopicState]:
    try:
        with open_admin(kafka, ADMIN_S) as admin:
            return topic_states(admin, kafka, all_topics(destinations))
    except KafkaError as error:
        raise Unavailable(f"the settings of the topics can't be read: {error}") from error


def _show(lines: list[str]) -> None:
    for line in lines:
        echo_to_who_listens(escaped(line))


def _held(held: Held) -> list[str]:
    where = ", ".join(f"{name} {number:,}" for name, number in held.records.items()) or "no topic has text of it"
    posts = _some([post.id for post in held.posts])
    return [f"{held.kind} {held.who}: {count(len(held.posts), 'post')}", *posts, f"records with text: {where}"]


def _some(lines: Sequence[str]) -> list[str]:
    more = [f"  and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else []
    return [*(f"  {line}" for line in lines[:SHOWN]), *more]


def _told(done: Forgotten) -> list[str]:
    deleted = f"{count(done.deletes, 'delete')} published; the stages withdraw the tickets as they come to it"
    lines = [deleted if done.published else "dry run: nothing was published"]
    if done.refused:
        lines += ["", "refused; mend what is named and run this again:", *_some(done.refused)]
    lines += ["", "stays in Kafka:" if done.remains else "nothing stays in Kafka"]
    alike: dict[str, list[str]] = {}
    for one in done.remains:
        most = "" if one.at_most_s is None else f"; gone after {span(one.at_most_s)} at most"
        alike.setdefault(f"{one.until}{most}", []).append(f"{one.topic} {one.records:,}")
    lines += [f"  {', '.join(where)}: {until}" for until, where in alike.items()]
    return [*lines, "", "not plaint's to erase:", *(f"  {line}" for line in OUTSIDE)]
