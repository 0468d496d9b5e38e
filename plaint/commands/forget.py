"""``plaint forget``: erases what plaint holds of a post or an author, and says what stays."""

import asyncio
import sys
from pathlib import Path
from typing import cast

import click
from kafka.errors import KafkaError

from plaint.diagnosis.finding import ago, count
from plaint.diagnosis.quiet import hush
from plaint.failures import Unavailable
from plaint.forget import OUTSIDE, Forgotten, Held, Kind, erase, find, remains
from plaint.kafka.admin import open_admin
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import TopicState, topic_states
from plaint.logs import escaped
from plaint.running import destinations_at_hand, kafka_at_hand
from plaint.send import Refused, find_target
from plaint.settings import load_settings
from schemas.topics import all_topics

ADMIN_S = 15.0


@click.command()
@click.argument("who", metavar="POST|AUTHOR")
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

    POST is a post's id; AUTHOR an author's id, or network:handle. A delete event is published, so that tickets are
    withdrawn at their destinations and compaction takes the text away. The stages must run for that, now or later.

    Exit code 0 if it is on its way, 1 if nothing is held.

    \b
    plaint forget at://did:plc:abc/app.bsky.feed.post/3k2a --dry-run
    plaint forget mastodon:@jo@example.social
    plaint forget 170000001 --as post --yes --json
    """
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json can't ask: give --yes or --dry-run with it")
    hush()
    settings = load_settings(config)
    kafka, destinations = kafka_at_hand(settings), destinations_at_hand(settings)
    held = asyncio.run(_find(kafka, destinations, who, cast("Kind | None", kind)))
    if held is None:
        mend = "if it is a post's id, `--as post` has tickets of it withdrawn all the same"
        click.echo(escaped(f"nothing is held of {who}; {mend}"), err=True)
        sys.exit(1)
    if not as_json:
        _show(_held(held))
    if not (dry_run or yes):
        click.confirm(f"Delete {count(len(held.posts), 'post')}, and withdraw the tickets?", abort=True)
    if not dry_run:
        try:
            asyncio.run(erase(kafka, find_target(config).target, held))
        except Refused as error:
            raise Unavailable(f"the delete was not taken: {error}") from error
    is_embedded = not settings.kafka.brokers and settings.broker.embedded == "tansu"
    done = Forgotten(held=held, published=not dry_run, remains=remains(held, _states(kafka, destinations), is_embedded))
    if as_json:
        click.echo(done.model_dump_json(indent=2))
    else:
        _show(_told(done))


async def _find(kafka: KafkaSettings, destinations: tuple[str, ...], who: str, kind: Kind | None) -> Held | None:
    if not sys.stderr.isatty():
        return await find(kafka, destinations, who, kind)
    with click.progressbar(length=1, label="looking through the topics", file=sys.stderr) as bar:

        def moved(read: int, total: int) -> None:
            bar.length = max(1, total)
            bar.update(read - bar.pos)

        return await find(kafka, destinations, who, kind, moved)


def _states(kafka: KafkaSettings, destinations: tuple[str, ...]) -> list[TopicState]:
    try:
        with open_admin(kafka, ADMIN_S) as admin:
            return topic_states(admin, kafka, all_topics(destinations))
    except KafkaError as error:
        raise Unavailable(f"the settings of the topics can't be read: {error}") from error


def _show(lines: list[str]) -> None:
    for line in lines:
        click.echo(escaped(line))


def _held(held: Held) -> list[str]:
    where = ", ".join(f"{name} {number:,}" for name, number in held.records.items()) or "no topic has text of it"
    posts = [f"  {post.id}" for post in held.posts[:20]]
    more = [f"  and {len(held.posts) - 20:,} more"] if len(held.posts) > 20 else []
    return [f"{held.kind} {held.who}: {count(len(held.posts), 'post')}", *posts, *more, f"records with text: {where}"]


def _told(done: Forgotten) -> list[str]:
    deleted = f"{count(len(done.held.posts), 'delete')} published; the stages withdraw the tickets as they come to it"
    lines = [deleted if done.published else "dry run: nothing was published"]
    lines += ["", "stays in Kafka:" if done.remains else "nothing stays in Kafka"]
    alike: dict[str, list[str]] = {}
    for one in done.remains:
        most = "" if one.at_most_s is None else f"; gone after {ago(one.at_most_s)} at most"
        alike.setdefault(f"{one.until}{most}", []).append(f"{one.topic} {one.records:,}")
    lines += [f"  {', '.join(where)}: {until}" for until, where in alike.items()]
    return [*lines, "", "not plaint's to erase:", *(f"  {line}" for line in OUTSIDE)]
