"""``plaint models``: which models are here, and which one labels posts."""

from pathlib import Path

import click
from pydantic import TypeAdapter

from classify.settings import ClassifySettings
from models.store import Store
from plaint.logs import escaped
from plaint.model_choice import ModelShown, choose, go_back, lines, models_here, taken_by
from plaint.settings import load_settings


@click.group()
def models() -> None:
    """Show the models on this machine and choose one. Your own stand in the folder classify.models, a folder each.

    A model of Hugging Face is chosen in the settings: classify.model.
    """


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def list_(config: Path | None, as_json: bool) -> None:
    """Show each model: where it comes from, languages and scores that were measured, size; * marks the one in use.

    \b
    plaint models list
    """
    settings = load_settings(config).classify
    found = models_here(settings)
    if as_json:
        click.echo(TypeAdapter(list[ModelShown]).dump_json(found, indent=2))
        return
    for line in lines(found, settings):
        click.echo(escaped(line))


@models.command()
@click.argument("name")
@click.pass_obj
def use(config: Path | None, name: str) -> None:
    """Label posts with the model NAME, once it has loaded and labelled here. `plaint reload` has what runs take it.

    \b
    plaint models use minilm-5
    """
    settings = load_settings(config).classify
    before = Store(settings.models).name_in_use()
    looked = choose(settings, name)
    if name == before:
        _tell(settings, looked, f"{name} is chosen, as it was before")
        return
    _tell(settings, looked, f"{name} is chosen; it was {before}")
    click.echo("  `plaint models rollback` takes it back")


@models.command()
@click.pass_obj
def rollback(config: Path | None) -> None:
    """Go back to the model that was in use before the last `plaint models use`. `plaint reload` has what runs take it.

    \b
    plaint models rollback
    """
    settings = load_settings(config).classify
    before = Store(settings.models).name_in_use()
    name, looked = go_back(settings)
    _tell(settings, looked, f"{name} is chosen again; it was {before}")


def _tell(settings: ClassifySettings, looked: str, done: str) -> None:
    for line in (looked, done, *(f"  {line}" for line in taken_by(settings))):
        click.echo(escaped(line))
