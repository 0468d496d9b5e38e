"""``plaint topics``: the topics as they are beside what plaint wants; makes them, or says how somebody else can."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from kafka.errors import KafkaError
from pydantic import TypeAdapter

from plaint.diagnosis.quiet import hush
from plaint.kafka.admin import open_admin
from plaint.kafka.grants import ROLE, plan
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topic_states import TopicState, topic_states
from plaint.kafka.topics import ensure_topics
from plaint.local.running import destinations_at_hand, kafka_at_hand
from plaint.logs import escaped
from plaint.settings import load_settings
from plaint.terminal import echo_to_who_listens, echo_while_read
from schemas.faults import Unavailable
from schemas.topics import all_topics

LOOK_S = 15.0


@click.command()
@click.option("--create", is_flag=True, help="Create what is missing first; what exists is never changed.")
@click.option(
    "--print", "print_", is_flag=True, help="Print topics and rights for whoever may create them; asks no broker."
)
@click.option(
    "--principal",
    help=f"With --print: whom the rights are for; {ROLE} in it stands for ingest, classify, …  [default: User: and "
    "kafka.sasl_username, or whom kafka.ssl_certfile names, else User:plaint]",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--yaml", "as_yaml", is_flag=True, help="With --print: as YAML, for a repository.")
@click.pass_obj
def topics(
    config: Path | None, create: bool, print_: bool, principal: str | None, as_json: bool, as_yaml: bool
) -> None:
    """Show each topic as it is, beside what plaint wants.

    Exit code 0 if plaint can run with them (a retention of your own is fine), 1 if not.

    \b
    plaint topics
    plaint topics --create
    plaint topics --print --principal 'User:plaint-{role}' > grant.sh
    BOOTSTRAP=kafka:9092 ADMIN_CONFIG=admin.properties sh grant.sh
    """
    if create and print_:
        raise click.UsageError("--create makes them, --print lets somebody else make them: give one of both")
    if (principal or as_yaml) and not print_:
        raise click.UsageError("--principal and --yaml belong to --print")
    hush()
    settings = load_settings(config)
    if print_:
        _print(settings.kafka, destinations_at_hand(settings), principal, as_json, as_yaml)
        return
    kafka, destinations = kafka_at_hand(settings), destinations_at_hand(settings)
    created = ensure_topics(kafka, destinations, timeout_s=LOOK_S) if create else ()
    found = _look(kafka, destinations)
    if as_json:
        echo_while_read(TypeAdapter(list[TopicState]).dump_json(found, indent=2))
    else:
        for line in lines(found, created):
            echo_while_read(escaped(line))
    if any(_is_wrong(state) for state in found):
        sys.exit(1)


def _print(
    kafka: KafkaSettings, destinations: Sequence[str], principal: str | None, as_json: bool, as_yaml: bool
) -> None:
    if not destinations:
        echo_to_who_listens("no destinations in the settings: only the topics in front of them are printed", err=True)
    found = plan(kafka, destinations, principal or kafka.principal() or "User:plaint")
    if as_json:
        click.echo(found.as_json())
    else:
        click.echo(found.as_yaml() if as_yaml else found.as_commands(",".join(kafka.brokers)), nl=False)


def _look(kafka: KafkaSettings, destinations: Sequence[str]) -> list[TopicState]:
    try:
        with open_admin(kafka, LOOK_S) as admin:
            return topic_states(admin, kafka, all_topics(destinations))
    except KafkaError as error:
        raise Unavailable(f"the topics can't be looked at: {error}") from error


def _is_wrong(state: TopicState) -> bool:
    return state.found != "there" or bool(state.leaderless) or any(one.is_fault for one in state.differences)


def lines(states: Sequence[TopicState], created: Sequence[str] = ()) -> list[str]:
    """One line a topic, and below it what is other than plaint would have it."""
    wide = max(len(state.name) for state in states)
    found = []
    for state in states:
        about = _about(state) if state.found == "there" else _absent(state)
        found.append(f"{state.name:{wide}}  {about}{'  (created)' if state.name in created else ''}")
        if state.leaderless:
            parts = ", ".join(map(str, state.leaderless))
            found.append(f"  ! nobody leads partition {parts}; look whether all brokers run, and at their disks")
        for one in state.differences:
            sign = "!" if one.is_fault else "·"
            found.append(f"  {sign} {one.key} is {one.has}, plaint would set {one.wants}; {one.mend}")
    return found


def _about(state: TopicState) -> str:
    policy = state.config.get("cleanup.policy", "")
    kept = state.number("retention.ms")
    keeps = "" if kept is None or "delete" not in policy else f", {_days(kept)}"
    return f"{state.partitions} partitions × {state.replicas}  {policy}{keeps}"


def _days(ms: int) -> str:
    return "for ever" if ms < 0 else f"{ms / 86_400_000:g} days"


def _absent(state: TopicState) -> str:
    if state.found == "missing":
        return "missing; `plaint topics --create` makes it, `plaint topics --print` tells your platform team how"
    return "this user may not see it; `plaint topics --print` prints the rights that it needs"
