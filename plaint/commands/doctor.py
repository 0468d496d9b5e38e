"""``plaint doctor``: tries everything that plaint needs, and says what is wrong and how to mend it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import TypeAdapter

from plaint.commands.status import told
from plaint.diagnosis.check import Check
from plaint.diagnosis.doctor import CHECKS, Patient, examine
from plaint.diagnosis.quiet import hush
from plaint.kafka.rights import roles
from plaint.kafka.settings import KafkaSettings
from plaint.local.running import destinations_at_hand, kafka_at_hand
from plaint.logs import escaped
from plaint.settings import Settings, SettingsInvalid, load_settings
from plaint.terminal import echo_while_read
from schemas.faults import one_of

SIGNS = {"ok": "✓", "warn": "·", "fail": "!", "skipped": "-"}


@click.command()
@click.argument("only", nargs=-1, metavar="[CHECK]...", type=click.Choice(list(CHECKS)))
@click.option(
    "--stage", "stages", multiple=True, help="Look at the rights of this role only: classify, deliver-ID, tools-look …"
)
@click.option("--send-test", is_flag=True, help="POST a signed test event, which is no ticket, to each destination.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def doctor(config: Path | None, only: tuple[str, ...], stages: tuple[str, ...], send_test: bool, as_json: bool) -> None:
    """Try all that plaint needs: brokers, topics, rights, groups, model, destinations, clock, disks; writes nothing.

    Exit code 0 if all is well or there are warnings only, 1 if something fails, 2 if the settings can't be read. Each
    check has its time; the whole takes a minute at most where something hangs, and seconds otherwise.

    \b
    plaint doctor
    plaint --config plaint.yaml doctor destinations --send-test
    plaint doctor rights --stage classify
    plaint doctor --json | jq '.[].findings[]'

    
    CHECK is one of these, all without one:
    {checks}
    """
    hush()
    settings = load_settings(config)
    queues = destinations_at_hand(settings)
    for stage in stages:
        if stage not in (known := roles(queues)):
            raise click.BadParameter(f"{stage} is no role; {one_of(stage, known)}", param_hint="--stage")
    patient = Patient(settings, _kafka(settings), queues, stages, send_test, only)
    found = list(_shown(examine(patient), as_json))
    if as_json:
        echo_while_read(TypeAdapter(list[Check]).dump_json(found, indent=2))
    else:
        for line in told([one for check in found for one in check.findings], "all is well"):
            echo_while_read(escaped(line))
    sys.exit(1 if any(check.state == "fail" for check in found) else 0)


doctor.help = (doctor.help or "").replace(
    "{checks}", "\n    ".join(f"  {name:13} {about}" for name, about in CHECKS.items())
)


def _kafka(settings: Settings) -> KafkaSettings | None:
    try:
        return kafka_at_hand(settings)
    except SettingsInvalid:
        return None


def _shown(checks: Iterator[Check], as_json: bool) -> Iterator[Check]:
    """Each check, told as it is done."""
    for check in checks:
        if not as_json:
            echo_while_read(escaped(f"{SIGNS[check.state]} {check.name:22} {check.looked}"))
        yield check
