"""The door: ``plaint``, its commands, and the exit codes that scripts may rely on.

0 all is well · 1 something was lost, or a check found faults · 2 wrong usage or settings · 70 the program failed
"""

import sys
from importlib import import_module
from pathlib import Path

import click

from plaint.logs import setup_logging

EXIT_USAGE = 2

COMMANDS = {
    "up": "plaint.commands.up:up",
    "run": "plaint.commands.run:run",
    "classify": "plaint.commands.classify:classify",
    "check-config": "plaint.commands.check_config:check_config",
    "inbox": "plaint.commands.inbox:inbox",
}
"""Where each command lives; loaded when it is asked for, so that ``plaint --help`` costs no model and no Kafka client."""


class LazyGroup(click.Group):
    """A group that imports a command when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="plaint")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PLAINT_CONFIG",
    help="Settings file; without it plaint.yaml in this folder, if there is one.",
)
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Posts about a brand in, triaged complaints out to the helpdesk, each one once.

    \b
    plaint up --samples              the whole way on this machine, with sample posts
    plaint up --source file:posts.jsonl
    plaint run classify              one stage, against your own Kafka
    """
    setup_logging()
    ctx.obj = config


def main() -> None:
    """Run the command line; a fault of the settings ends with code 2 and no traceback."""
    from plaint.settings import SettingsInvalid

    try:
        cli.main(prog_name="plaint")
    except SettingsInvalid as error:
        count = len(error.faults)
        click.echo(f"plaint: {count} fault{'s' * (count > 1)} in the settings", err=True)
        for fault in error.faults:
            click.echo(f"  {fault}", err=True)
        sys.exit(EXIT_USAGE)
