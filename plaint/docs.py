"""Writes the pages of docs/ that repeat the code: ``python -m plaint.docs``; with ``--check`` it only says which are stale."""

import ast
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
import orjson

from plaint.cli import COMMANDS, cli
from plaint.failures import CODES
from plaint.monitoring.metrics import METRICS, PROCESS_HELP, Metric
from plaint.settings import Settings
from plaint.settings_given import OWN_VARIABLES, PREFIX
from schemas import reasons

FOLDER = Path(__file__).parents[1] / "docs"
WRITTEN = "<!-- Written by `python -m plaint.docs`; don't edit. -->\n\n"
Json = dict[str, Any]

HEAD = f"""# Configuration

{WRITTEN}Settings come from one YAML file (`plaint --config FILE`, `PLAINT_CONFIG`, or `plaint.yaml` in the working
directory) and from the environment, which wins key by key. A variable is `{PREFIX}` and the path of the key in capitals,
its steps joined by two underscores: `kafka.brokers` is `{PREFIX}KAFKA__BROKERS`. Lists and maps in variables are JSON. An
empty variable is as good as none, and so is a section of the file without keys.
Unknown keys and variables are refused; `plaint check-config` lists every fault at once. A relative path counts from the
working directory of the process, wherever the file lies that it stands in.

Secrets belong into the environment or into files (`secret_file`, `token_file`, `sasl_password_file`,
`ssl_keyfile_password_file`, `proxy_login_file`), not into the YAML file.
"""
OTHER = {
    "PLAINT_CONFIG": "The settings file.",
    "PLAINT_DATA": "Folder of the labelled posts to train and to measure the model with; needed by `plaint train` "
    "without corrections, `plaint evaluate --baselines`, `make bench-model` and some tests.",
    "PLAINT_INSTANCE": "Name of this process among the others of its stage, unique and the same after a restart, such as "
    "a pod's name: its work then goes on at once after a crash.",
    "PLAINT_KAFKA_HOME": "A Kafka release for `broker.embedded: kafka`.",
    "PLAINT_RUNTIME_DIR": "Folder in which `plaint up`, `plaint run route` and `plaint run classify` note themselves for other "
    "commands of this user; without it `plaint` in `XDG_RUNTIME_DIR`, else `plaint-UID` in the folder for temporary files. "
    "It has to last as long as they run: name another for what is to outlive your login (`nohup`, `tmux`), since a system "
    "may remove `XDG_RUNTIME_DIR` when you log out, and no `plaint reload` reaches them then.",
    "PLAINT_LISTEN_FD": "Number of a listening socket that whoever starts the inbox or the door has opened for it and hands "
    "down; `plaint up` does.",
    "PLAINT_LOG_LEVEL": "DEBUG, INFO (default), WARNING, ERROR or CRITICAL.",
}


def pages() -> dict[str, str]:
    """File name and content of each page."""
    return {
        "commands.md": commands_page(),
        "configuration.md": configuration(),
        "metrics.md": metrics_page(),
        "reasons.md": reason_page(),
    }


HELP_WIDTH = 100
"""Columns of the commands' help on its page, whatever terminal the page is written in."""


def commands_page() -> str:
    """The help of every command, in the order of ``plaint --help``."""
    intro = (
        "What `plaint COMMAND --help` says. `plaint --config FILE COMMAND` reads the settings of FILE; without it those of "
        "`plaint.yaml` in the working directory, if there is one. With `kafka.brokers` in the settings a command asks these "
        "brokers, else those of the `plaint up` that this user runs on this machine. Exit codes: "
        "[configuration](configuration.md#exit-codes)."
    )
    root = click.Context(cli, info_name="plaint", terminal_width=HELP_WIDTH, **cli.context_settings)
    listed = "\n".join(f"| [{name}](#plaint-{name}) | {about} |" for name, (_, about) in COMMANDS.items())
    told = "".join(_command(cli.get_command(root, name), name, root) for name in COMMANDS)
    return f"# Commands\n\n{WRITTEN}{intro}\n\n| command | does |\n|---|---|\n{listed}\n{told}"


def _command(command: click.Command | None, name: str, parent: click.Context) -> str:
    """The help of a command, and of those in it."""
    assert command is not None, "the table names it"
    context = click.Context(command, info_name=name, parent=parent, terminal_width=HELP_WIDTH)
    depth = "##" if parent.parent is None else "###"
    told = f"\n{depth} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        told += "".join(_command(command.get_command(context, one), one, context) for one in names)
    return told


def configuration() -> str:
    """Every setting with its type, default and description."""
    schema = Settings.model_json_schema()
    sections = [_section(name, schema["properties"][name], schema["$defs"]) for name in Settings.model_fields]
    assert OTHER.keys() == OWN_VARIABLES, "each variable that is no setting is explained"
    others = "\n".join(f"| `{name}` | {about} |" for name, about in OTHER.items())
    codes = "\n".join(f"| {code} | {about} |" for code, about in CODES.items())
    return (
        HEAD
        + "".join(sections)
        + f"\n## Variables that are no settings\n\n| variable | meaning |\n|---|---|\n{others}\n"
        + f"\n## Exit codes\n\n| code | meaning |\n|---|---|\n{codes}\n"
    )


def _section(name: str, schema: Json, defs: Json) -> str:
    """A heading and a table; lists and maps of models are described by their items."""
    where = name
    if "items" in schema:
        schema, where = schema["items"], f"{name}[]"
    elif "additionalProperties" in schema or "patternProperties" in schema:
        inner = schema.get("additionalProperties") or next(iter(schema["patternProperties"].values()))
        schema, where = inner, f"{name}.<id>"
    model = _resolved(schema, defs)
    about = " ".join(model.get("description", "").replace("``", "`").split())
    rows = "\n".join(_row(where, key, field, defs) for key, field in model["properties"].items())
    told = f"\n## {where}\n\n{about}\n\n| key | takes | default | meaning |\n|---|---|---|---|\n{rows}\n"
    return told + "".join(_section(f"{where}.{key}", field, defs) for key, field in _maps(model, defs))


def _maps(model: Json, defs: Json) -> Iterator[tuple[str, Json]]:
    """The settings of a section that are maps of settings themselves, each with what it is for."""
    for key, field in model["properties"].items():
        for option in field.get("anyOf", [field]):
            settings = _resolved(option, defs).get("properties", {})
            if settings and all("description" in setting for setting in settings.values()):
                yield key, option


def _row(where: str, key: str, field: Json, defs: Json) -> str:
    default = "" if field.get("default") in (None, "", [], {}) else f"`{orjson.dumps(field['default']).decode()}`"
    about = field.get("description", "")
    return "| " + " | ".join(_cell(text) for text in (f"`{key}`", _takes(field, defs), default, about)) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _resolved(schema: Json, defs: Json) -> Json:
    if "$ref" in schema:
        found: Json = defs[schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _takes(field: Json, defs: Json) -> str:
    """What a setting takes, in a few words."""
    options = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
    if len(options) > 1:
        return " or ".join(_takes(option, defs) for option in options)
    field = _resolved(options[0], defs)
    if "takes" in field:
        return str(field["takes"])
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    kind = str(field.get("type", ""))
    if kind == "array":
        return f"list of {_takes(field['items'], defs)}"
    names = {"object": "map", "boolean": "true or false", "string": "text"}
    if field.get("format") == "path":
        return "path"
    if field.get("format") == "password":
        return "secret"
    return names.get(kind, kind) + _range(field)


def _range(field: Json) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "over", "maximum": "to", "exclusiveMaximum": "under"}
    return "".join(f" {word} {_number(field[key])}" for key, word in words.items() if key in field)


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else str(value)


def reason_page() -> str:
    """Every reason of the closed lists with what its docstring says."""
    about = dict(_docstrings(Path(reasons.__file__).read_text()))
    intro = "Every record that enters a stage leaves it as results, as a counted drop or as a dead letter. "
    dead = (
        "A record that can never pass lies in `plaint.deadletters`: its value is the original bytes, its headers "
        "(`plaint-reason`, `plaint-stage`, `plaint-place`, `plaint-detail` …) say what became of it."
    )
    drops = "A sound record that gives no result is counted."
    return (
        f"# Reasons\n\n{WRITTEN}{intro}These are all the reasons there are.\n"
        + _reasons("Dead letters", dead, reasons.DeadReason, about)
        + _reasons("Drops", drops, reasons.DropReason, about)
    )


def _reasons(title: str, intro: str, kind: type[StrEnum], about: dict[str, str]) -> str:
    entries = "".join(f"\n### {reason.value}\n\n{about[f'{kind.__name__}.{reason.name}']}\n" for reason in kind)
    return f"\n## {title}\n\n{intro}\n{entries}"


def _docstrings(source: str) -> Iterator[tuple[str, str]]:
    """``Class.NAME`` and the string that stands below it, which Python itself does not keep."""
    for kind in ast.parse(source).body:
        if isinstance(kind, ast.ClassDef):
            for before, after in zip(kind.body, kind.body[1:], strict=False):
                if isinstance(before, ast.Assign) and isinstance(before.targets[0], ast.Name):
                    assert isinstance(after, ast.Expr), f"{before.targets[0].id} has no docstring"
                    assert isinstance(after.value, ast.Constant)
                    yield f"{kind.name}.{before.targets[0].id}", " ".join(str(after.value.value).split())


def metrics_page() -> str:
    """Every metric with who tells it, its labels and what it means."""
    intro = (
        "Each process answers at `/metrics` (Prometheus' text, or OpenMetrics if that is asked for), `/healthz`, `/readyz` "
        "and `/state`; `plaint up` answers for all of its processes at one address. Every sample carries `stage`, and those "
        "of a deliver process `destination` as well.\n\n"
        "No label ever holds what a post, an author or a receiver says. Those with a closed list stand at 0 from the start."
    )
    rows = "\n".join(
        f"| `{metric.sample}` | {metric.kind} | {', '.join(metric.stages)} | {_labels(metric)} | {metric.help} |"
        for metric in METRICS
    )
    buckets = "\n".join(
        f"- `{metric.sample}`: {', '.join(f'{bound:g}' for bound in metric.buckets)}"
        for metric in METRICS
        if metric.buckets
    )
    return (
        f"# Metrics\n\n{WRITTEN}{intro}\n\n| metric | kind | told by | labels | meaning |\n|---|---|---|---|---|\n{rows}\n\n"
        f"{PROCESS_HELP}\n\n## Buckets\n\nA histogram's samples are `_bucket` (by `le`), `_sum` and `_count`. "
        f"A time between two clocks that comes out below 0 counts as 0.\n\n{buckets}\n"
    )


def _labels(metric: Metric) -> str:
    return "; ".join(
        f"`{label}`: {values if isinstance(values, str) else ', '.join(map(str, values))}"
        for label, values in metric.labels.items()
    )


def stale(folder: Path = FOLDER) -> list[str]:
    """The pages in ``folder`` that say something else than the code."""
    return [
        name
        for name, content in pages().items()
        if not (folder / name).is_file() or (folder / name).read_text() != content
    ]


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or check them: exit code 0, or 1 with the stale ones on stderr."""
    if "--check" not in arguments:
        FOLDER.mkdir(exist_ok=True)
        for name, content in pages().items():
            (FOLDER / name).write_text(content)
        return 0
    for name in (wrong := stale()):
        sys.stderr.write(f"docs/{name} is stale: run python -m plaint.docs\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
