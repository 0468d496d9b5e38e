"""``plaint route``: try the routes."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click
import orjson

from classify.batch import Classifier
from classify.settings import ClassifySettings
from plaint.logs import escaped
from plaint.route_trial import Line, Sum, Trial, Unread, read_lines, tried
from plaint.settings import Settings, load_settings
from plaint.terminal import echo_to_who_listens, echo_while_read, shown_json
from route.rules import RouteTable
from route.trial import Routed, destinations_named
from schemas.triage import Triage

ROUTES = click.Path(path_type=Path, dir_okay=False)


@click.group("route")
def route() -> None:
    """Try the routes."""


@route.command()
@click.argument("file", type=click.File("rb"))
@click.option("--routes", type=ROUTES, help="File of routes; without it the settings' own.")
@click.option("--against", type=ROUTES, help="Other routes: show only the posts on which the two differ.")
@click.option(
    "--expect", metavar="COLUMN", help="Field of each line with the rule, or the destinations, that are expected."
)
@click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]),
    help="When posts are triaged that have no triaged_at, UTC if it names no zone; without it now. For hours and silences.",
)
@click.option("--tried", "trace", is_flag=True, help="Tell of each rule that was tried why it did not take the post.")
@click.option("--json", "as_json", is_flag=True, help="As JSON Lines: one object a post, then one with the summary.")
@click.pass_obj
def test(
    config: Path | None,
    file: IO[bytes],
    routes: Path | None,
    against: Path | None,
    expect: str | None,
    at: datetime | None,
    trace: bool,
    as_json: bool,
) -> None:
    """Show where the routes send the posts of FILE (- is standard input), without a broker.

    FILE holds JSON Lines: posts with id and text, which the model labels, or posts with labels, such as
    {"id": "1", "intent": "complaint", "urgent": true, "text": "..."}.

    --expect keeps a team's routes from changing unseen: a field of each line holds the name of the rule that must take the
    post, or the list of destinations that must get it. Exit code 1 if one differs, or a line can't be read.

    \b
    plaint route test posts.jsonl
    plaint route test posts.jsonl --expect rule
    plaint route test posts.jsonl --against new-routes.yaml
    """
    settings = load_settings(config)
    chosen = routes or settings.route.routes
    table, other = _table(settings, chosen), _table(settings, against) if against else None
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    total = Sum()
    lines = read_lines(file, expect, at, lambda: _classifier(settings.classify))
    show = _json if as_json else _text
    say = click.echo if expect is None else echo_while_read  # nobody waits for a verdict where none was asked for
    for trial in tried(_readable(lines, total), table, other, trace):
        total.add(trial)
        if other is None or trial.changes:
            say(show(trial))
    say(orjson.dumps({"summary": total.json()}) if as_json else "\n".join(_summary(total, expect, against)))
    if expect is not None and not total.expected:
        raise click.UsageError(f'no line has a field "{escaped(expect)}"')
    sys.exit(1 if total.wrong or total.unread else 0)


def _table(settings: Settings, file: Path | None) -> RouteTable:
    """Without destinations in the settings any name will do: routes are often tried where there are none."""
    return RouteTable.load(file, list(settings.destinations) or destinations_named(file))


def _classifier(settings: ClassifySettings) -> Classifier:
    from classify.load import load_classifier  # costs the inference runtime

    classifier, _ = load_classifier(settings)
    return classifier


def _readable(lines: Iterator[Line | Unread], total: Sum) -> Iterator[Line]:
    for line in lines:
        if isinstance(line, Unread):
            total.unread += 1
            echo_to_who_listens(escaped(f"line {line.number}: {line.why}"), err=True)
        else:
            yield line


def _text(trial: Trial) -> str:
    """A post on a line or a few."""
    triage = trial.line.triage
    lines = [f"{_short(triage.post.id, 40)}: {_went(trial.routed)}"]
    if trial.other is not None:
        lines = [
            f"{_short(triage.post.id, 40)}:",
            f"    now   {_went(trial.routed)}",
            f"    then  {_went(trial.other)}",
        ]
    lines.append(f"    {_labels(triage)}: {_short(triage.post.text, 100)}")
    if trial.wrong:
        lines.append(f"    WRONG: {escaped(trial.wrong)}")
    for one in trial.tried:
        name = " > ".join((*one.parents, one.rule))
        lines.append(f"    {'+' if one.took else '-'} {name}{'' if one.took else f': {escaped(str(one.unmet))}'}")
    return "\n".join(lines)


def _went(found: Routed) -> str:
    rules = " + ".join(found.rules) or "no rule"
    if found.silenced:
        return f"{rules} → silenced {escaped(found.silenced)}"
    who = f"{', '.join(found.destinations)} ({found.priority})" if found.destinations else "nobody"
    return f"{rules} → {who}. {escaped(found.why)}"


def _labels(triage: Triage) -> str:
    return f"{triage.intent or 'no intent'}, urgency {triage.urgency}{', urgent' if triage.urgent else ''}"


def _short(text: str, most: int) -> str:
    plain = escaped(" ".join(text.split()))
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _json(trial: Trial) -> str:
    triage = trial.line.triage
    found: dict[str, Any] = {
        "line": trial.line.number,
        "id": triage.post.id,
        "intent": triage.intent,
        "urgency": triage.urgency,
        "urgent": triage.urgent,
        **_fields(trial.routed),
    }
    if trial.line.given:
        found |= {"expected": trial.line.expected, "wrong": trial.wrong}
    if trial.other is not None:
        found["against"] = _fields(trial.other)
    if trial.tried:
        found["tried"] = [
            {"rule": one.rule, "parents": one.parents, "took": one.took, "unmet": str(one.unmet or "")}
            for one in trial.tried
        ]
    return shown_json(orjson.dumps(found, option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=str).decode())


def _fields(found: Routed) -> dict[str, Any]:
    return {
        "rules": found.rules,
        "destinations": found.destinations,
        "priority": found.priority,
        "team": found.team,
        "labels": found.labels,
        "why": found.why,
        "silenced": found.silenced,
    }


def _summary(total: Sum, expect: str | None, against: Path | None) -> Iterator[str]:
    yield ""
    yield f"{total.posts} posts" + (f", {total.unread} lines can't be read" if total.unread else "")
    for name, count in total.rules.most_common():
        yield f"  {count:6} {name}"
    if total.destinations:
        yield "tickets: " + ", ".join(f"{name} {count}" for name, count in sorted(total.destinations.items()))
    if total.unrouted:
        yield "unrouted: " + ", ".join(f"{name} {count}" for name, count in sorted(total.unrouted.items()))
    if total.kinds["silenced"]:
        yield f"silenced: {total.kinds['silenced']}"
    if expect is not None:
        yield f"as expected: {total.expected - total.wrong} of {total.expected}"
    if against is not None:
        yield f"changed by {escaped(str(against))}: {total.changed} of {total.posts}"
