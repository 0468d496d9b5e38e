"""``plaint reload``: have the running plaint read its routes again, and load the model that is chosen now."""

import sys
from pathlib import Path

import click
import orjson

from plaint.logs import escaped
from plaint.reloading.asking import faults_before, reload, restarts_needed, targets
from plaint.settings import load_settings
from plaint.terminal import echo_to_who_listens


@click.command("reload")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="As JSON: a list of what became of the routes and the model of each process.",
)
@click.pass_obj
def reload_(config: Path | None, as_json: bool) -> None:
    """Have the running plaint read its routes again and load the model that is chosen now; wait until it uses them.

    Checks the routes first: if they have faults they are told, and the running plaint is left alone. A model that can't be
    loaded is refused, and the one before goes on. Finds `plaint up`, else each `plaint run route` and `plaint run classify`
    of this user on this machine; elsewhere send SIGHUP to the process. Settings are not read again.

    Exit code 0 if routes and model are in use, 1 if one of them was refused, 69 if nobody runs.

    \b
    plaint reload
    plaint reload --json | jq -r '.[] | .what + " " + .version'
    """
    settings = load_settings(config)
    found = targets()
    for line in restarts_needed(settings, found):
        echo_to_who_listens(escaped(f"note: {line}"), err=True)
    wrong = faults_before(found)
    if wrong:
        _tell(wrong)
        echo_to_who_listens("nothing was reloaded", err=True)
        sys.exit(1)
    done = []
    for one in reload(found):
        done.append(one)
        _tell(one.faults)
        if not as_json or one.faults:
            echo_to_who_listens(escaped(one.text), err=bool(one.faults))
    if as_json:
        echo_to_who_listens(orjson.dumps([one.model_dump() for one in done]).decode())
    sys.exit(1 if any(one.faults for one in done) else 0)


def _tell(faults: "list[str] | tuple[str, ...]") -> None:
    for fault in faults:
        echo_to_who_listens(escaped(fault), err=True)
    if faults:
        echo_to_who_listens(f"{len(faults)} fault{'s' * (len(faults) > 1)}", err=True)
