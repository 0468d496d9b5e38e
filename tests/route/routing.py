"""Tables and posts for tests of the routes."""

from pathlib import Path

from route.examples import example
from route.rules import RouteTable, check_routes
from schemas.triage import Triage

DESTINATIONS = ("helpdesk", "service", "marketing", "archive")
REST = "  - {name: rest, why: The rest., destinations: []}\n"


def write(folder: Path, text: str) -> Path:
    """A file of routes with these rules, and one behind them that takes all."""
    path = folder / "routes.yaml"
    path.write_text(text)
    return path


def load(folder: Path, rules: str) -> RouteTable:
    """The table of these rules, written as they stand under ``rules:``, with one behind them that takes all."""
    return RouteTable.load(write(folder, f"rules:\n{rules}{REST}"), DESTINATIONS)


def faults(folder: Path, rules: str) -> list[str]:
    """The faults of these rules, without the name of the file."""
    found = check_routes(write(folder, f"rules:\n{rules}{REST}"), DESTINATIONS)
    return [str(fault).removeprefix("routes.yaml:") for fault in found]


def post(**fields: object) -> Triage:
    """A triage with these fields, ``__`` for a dot: ``post__text``."""
    return example({name.replace("__", "."): value for name, value in fields.items()})


def takers(table: RouteTable, triage: Triage) -> list[str]:
    """Names of the rules that take it."""
    return [match.rule for match in table.route(triage)]
