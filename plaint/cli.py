"""The door: ``plaint``, its commands, and the exit codes that scripts may rely on.

0 all is well · 1 something was lost, or a check found faults · 2 wrong usage, settings, routes, topics, rights or
weights: a restart won't mend it · 69 the broker, a source or a port can't be had now · 70 the program failed · 130
ended before it was done
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from plaint.failures import EXIT_INTERRUPTED, is_full, tell
from plaint.logs import escaped, setup_logging
from plaint.masking import masked
from plaint.terminal import STDERR, echo_to_who_listens, leaving_early, show_any_sign, to_who_listens, write_nowhere

COMMANDS = {
    "up": ("plaint.commands.up:up", "Run the whole way on this machine, from a source to the helpdesk."),
    "run": ("plaint.commands.run:run", "Run one stage of the way, against your own Kafka."),
    "send": ("plaint.commands.send:send", "Send a post from the shell."),
    "classify": ("plaint.commands.classify:classify", "Label posts from standard input."),
    "evaluate": ("plaint.commands.evaluate:evaluate_", "Say how good the model is on labelled posts."),
    "models": ("plaint.commands.models:models", "Show the models on this machine, and choose one."),
    "train": ("plaint.commands.train:train", "Train a model, or go on from one with your own corrections."),
    "check-config": ("plaint.commands.check_config:check_config", "Check the settings and the routes."),
    "route": ("plaint.commands.route_test:route", "Try the routes on posts, without a broker."),
    "reload": (
        "plaint.commands.reload:reload_",
        "Have the running plaint read its routes again and load the model that is chosen now.",
    ),
    "status": ("plaint.commands.status:status", "Show how each stage is, and what to do about what is wrong."),
    "board": ("plaint.commands.board:board", "Show how the running plaint does, live."),
    "doctor": ("plaint.commands.doctor:doctor", "Try all that plaint needs, and say how to mend what is wrong."),
    "forget": ("plaint.commands.forget:forget", "Erase what is held of a post or an author, and say what stays."),
    "topics": ("plaint.commands.topics:topics", "Show, create or print the topics, and the rights that go with them."),
    "destination": ("plaint.commands.destination:destination", "Turn a destination off or on again."),
    "tail": ("plaint.commands.tail:tail", "Show posts, triage, tickets, deliveries or dead letters as they pass."),
    "tickets": ("plaint.commands.tickets:tickets", "List and show tickets, and have them tried again."),
    "dead": ("plaint.commands.dead:dead", "Look at the records that could never pass, and send them again."),
    "completion": ("plaint.commands.completion:completion", "Print the completion of plaint for your shell."),
    "explain": ("plaint.commands.explain:explain", "Say why a post has a ticket, or none."),
    "inbox": ("plaint.commands.inbox:inbox", "Receive webhooks on this machine and show them as tickets."),
}
"""Where each command lives and what it does; imported when it is asked for: ``plaint --help`` costs no model, no Kafka."""


class LazyGroup(click.Group):
    """A group that imports a command when it is needed, and ends it well once nobody reads what it writes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of the table."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without an import."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run one."""
        with leaving_early():
            return super().invoke(ctx)


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


def main() -> NoReturn:
    """Run the command line and end with its exit code; see the top of this file."""
    show_any_sign()
    try:
        code = cli.main(prog_name="plaint", standalone_mode=False) or 0
    except click.ClickException as error:
        with to_who_listens(STDERR):
            error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    except Exception as error:
        code, lines = tell(error)
        for line in lines:
            echo_to_who_listens(escaped(masked(line)), err=True)
        if is_full(error):
            write_nowhere()
    sys.exit(code)
