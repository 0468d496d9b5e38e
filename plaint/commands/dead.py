"""``plaint dead list|show|replay``: what could never pass, and sending it again."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from plaint.again.dead_letters import replay as send_again
from plaint.again.dead_letters import stand_of
from plaint.again.plan import Done
from plaint.commands.holding import destination_at, done_fields, done_words, holds_at, notice
from plaint.kafka.reading import TopicReader
from plaint.kafka.settings import KafkaSettings
from plaint.local.running import destinations_at_hand, kafka_at_hand
from plaint.lookup.dead import STAGES, WantedLetters, find_letters, page, row, without_letters
from plaint.lookup.holds import clues_at_hand
from plaint.lookup.letters import HeldLetter
from plaint.settings import SettingsInvalid, load_settings
from plaint.terminal import MOMENT, TEXT, Reading, confirmed, echo_to_who_listens, json_line, one_line
from schemas.faults import Fault, shown
from schemas.reasons import DeadReason

MANY = 10
"""So many letters, or more, are asked about before they are sent again."""
F = TypeVar("F", bound=Callable[..., Any])
_FILTERS = (
    click.option("--reason", "reasons", multiple=True, type=click.Choice([str(one) for one in DeadReason])),
    click.option("--stage", "stages", multiple=True, type=click.Choice(STAGES), help="Which refused it."),
    click.option("--since", type=MOMENT, help="Refused then or later: 10m, 2h, 3d ago, or 2026-05-01T12:00:00Z."),
    click.option("--until", type=MOMENT, help="Refused before then."),
    click.option(
        "--place", "places", type=TEXT, multiple=True, help="A part of the place, or a pattern with *: 'posts.csv:*'."
    ),
)


def _filtered(command: F) -> F:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group()
def dead() -> None:
    """Look at the records that could never pass, and send them again once the cause is mended.

    docs/reasons.md says what each reason means. Needs Describe and Read on plaint.deadletters; replay needs Write on it
    too, and on the topics that the records go to, and Read on plaint.deliveries.*.
    """


@dead.command("list")
@_filtered
@click.option("--not-replayed", is_flag=True, help="Only those that were not sent again.")
@click.option("-n", "--most", type=click.IntRange(0), default=100, show_default=True, help="Newest so many; 0: all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def list_(config: Path | None, /, not_replayed: bool, most: int, as_json: bool, **filters: Any) -> None:
    """List dead letters, oldest first. A replayed one says so.

    \b
    plaint dead list
    plaint dead list --stage deliver --reason refused --since 1d
    plaint dead list --json -n 0 | jq -r .place
    """
    found = _find(kafka_at_hand(load_settings(config)), WantedLetters(**filters))
    found = [held for held in found if not (not_replayed and held.replays)]
    chosen = found[-most:] if most else found
    for held in chosen:
        click.echo(json_line(held.shape().model_dump(mode="json")) if as_json else row(held))
    if not as_json:
        echo_to_who_listens(_summed_up(found, len(found) - len(chosen)), err=True)


def _summed_up(found: Sequence[HeldLetter], left_out: int) -> str:
    counts = Counter(f"{held.letter.stage} {held.letter.reason}" for held in found)
    told = ", ".join(f"{one_line(name)} {count}" for name, count in sorted(counts.items()))
    more = f"; {left_out} older ones are left out, -n 0 shows all" if left_out else ""
    return f"{len(found)} dead letter{'s' * (len(found) != 1)}{f': {told}' if told else ''}{more}"


@dead.command()
@click.argument("letter", type=TEXT)
@click.option("--raw", is_flag=True, help="Write the bytes of the record, and nothing else, as they are.")
@click.option("--json", "as_json", is_flag=True, help="What is said about it, as one JSON object, without the bytes.")
@click.pass_obj
def show(config: Path | None, letter: str, raw: bool, as_json: bool) -> None:
    """Show one dead letter: what is said about it, and the record's own bytes, escaped.

    LETTER is its id in the list, or its place if that means one letter.

    \b
    plaint dead show 2@17
    plaint dead show posts.jsonl:17
    plaint dead show 2@17 --raw > record.json
    """
    found = _find(kafka_at_hand(load_settings(config)), WantedLetters(names=(letter,)), keep_values=True)
    if len(found) != 1:
        ids = ", ".join(held.id for held in found[:10])
        mend = f"name one of {ids}" if found else "plaint dead list shows them"
        what = f"means {len(found)} dead letters" if found else "is no dead letter"
        raise SettingsInvalid([Fault(shown(one_line(letter)), what, mend)])
    held = found[0]
    if raw:
        click.echo(held.letter.value, nl=False)
    elif as_json:
        click.echo(json_line(held.shape().model_dump(mode="json")))
    else:
        for line in page(held, held.letter.value):
            click.echo(line)


@dead.command()
@click.argument("letters", type=TEXT, nargs=-1)
@_filtered
@click.option("--all", "everything", is_flag=True, help="All that the filters leave, also without any filter.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help=f"Do not ask; {MANY} or more are asked about otherwise.")
@click.option(
    "--force",
    is_flag=True,
    help="Send also what this version would refuse again or what was sent again before, and tickets that ended as dead: in a "
    "new generation, with a webhook-id of its own, so that the receiver takes it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: letter, sent, place, why, hold.")
@click.pass_obj
def replay(
    config: Path | None,
    /,
    letters: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    yes: bool,
    force: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Send the original records of dead letters again, to the topic of the stage that refused them.

    Ids and keys stay, so nothing becomes a second ticket. What was cut, and what would be refused again, is left out, with
    the reason. Each letter that was sent again is marked, and those that the filters find are left out then. Tickets of a
    destination that is disabled or down wait, which is said. Exit code 1 if one of them could not be sent.

    \b
    plaint dead replay 2@17
    plaint dead replay --stage classify --since 2h --dry-run
    plaint dead replay --stage deliver --reason refused --place helpdesk --force --yes
    """
    if not (letters or everything or any(filters.values())):
        raise click.UsageError("name letters, or filters, or --all")
    settings = load_settings(config)
    kafka = kafka_at_hand(settings)
    found = _find(kafka, WantedLetters(names=letters, **filters))
    if missing := without_letters(letters, found):
        faults = [Fault(shown(one_line(name)), "is no dead letter", "plaint dead list shows them") for name in missing]
        raise SettingsInvalid(faults)
    if not letters and not force:
        found = [held for held in found if not held.replays]
    if len(found) >= MANY and not dry_run:
        confirmed(_summed_up(found, 0) + ": send them again?", yes)
    destinations = destinations_at_hand(settings)
    holds = holds_at(kafka, [held.letter.place for held in found], clues_at_hand(settings, kafka))

    def tell(one: Done) -> None:
        hold = holds.get(destination_at(one.place))
        words = done_words(one, hold, "would go to" if dry_run else "sent again as")
        fields = {"letter": one.name, **done_fields(one, hold, dry_run)}
        echo_to_who_listens(json_line(fields) if as_json else f"{one.name}  {one_line(words)}")

    done = asyncio.run(_replay(kafka, found, destinations, force, dry_run, tell))
    if not as_json:
        echo_to_who_listens(_told(done, dry_run), err=True)
        notice(holds.get(destination_at(one.place)) for one in done)
    sys.exit(0 if all(one.place for one in done) else 1)


async def _replay(
    kafka: KafkaSettings,
    found: Sequence[HeldLetter],
    destinations: Sequence[str],
    force: bool,
    dry_run: bool,
    tell: Callable[[Done], None],
) -> list[Done]:
    if not found:
        return []
    done = []
    async with TopicReader(kafka) as reader:
        with Reading("reading the delivery logs") as reading:
            stand = await stand_of(reader, found, destinations, force, reading)
        async for one in send_again(kafka, reader, found, stand, dry_run):
            done.append(one)
            tell(one)
    return done


def _told(done: Sequence[Done], dry_run: bool) -> str:
    sent = sum(bool(one.place) for one in done)
    return f"{sent} {'would be ' * dry_run}sent again, {len(done) - sent} not"


def _find(kafka: KafkaSettings, wanted: WantedLetters, keep_values: bool = False) -> list[HeldLetter]:
    async def find() -> list[HeldLetter]:
        with Reading("reading plaint.deadletters") as reading:
            async with TopicReader(kafka) as reader:
                return await find_letters(reader, wanted, reading, keep_values)

    return asyncio.run(find())
