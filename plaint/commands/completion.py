"""``plaint completion SHELL``: what the shell needs to complete commands and options."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes plaint's commands and options in this shell.

    \b
    echo 'eval "$(plaint completion bash)"' >> ~/.bashrc
    echo 'eval "$(plaint completion zsh)"' >> ~/.zshrc
    plaint completion fish > ~/.config/fish/completions/plaint.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click has these shells"
    click.echo(kind(ctx.find_root().command, {}, "plaint", "_PLAINT_COMPLETE").source())
