"""The guide to the routes: every file in it can be used, and every command in it prints what stands there."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from route.checks import MAX_RULES, MAX_SILENCES
from route.fields import FIELDS
from route.operators import MAX_MATCHED_CHARS
from route.rule import RuleSpec
from route.rules import review
from route.settings import RouteSettings
from route.trial import destinations_named
from route.yamlfile import MAX_BYTES, MAX_NODES
from tests.support.command import PLAINT, environment

GUIDE = (Path(__file__).parents[1] / "docs" / "routes.md").read_text()
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
FILES = dict(FILE.findall(GUIDE))


def sessions() -> Iterator[tuple[str, str]]:
    """Each command of the guide and what it prints."""
    for block in CONSOLE.findall(GUIDE):
        for session in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = session.partition("\n")
            yield command, printed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the guide."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml")])
def test_each_file_of_the_guide_has_no_fault_and_its_examples_hold(folder: Path, name: str) -> None:
    path = folder / name
    names = destinations_named(path)
    assert review(path, names, datetime(2026, 5, 1, tzinfo=UTC), own=names) == ((), ())


@pytest.mark.parametrize(("command", "printed"), list(sessions()))
def test_each_command_of_the_guide_prints_what_stands_there(folder: Path, command: str, printed: str) -> None:
    first, _, _ = command.partition(" | ")
    program, *arguments = shlex.split(first)
    assert program == "plaint"
    done = subprocess.run([PLAINT, *arguments], cwd=folder, env=environment(), capture_output=True, timeout=60)
    assert done.stderr == b""
    found = done.stdout.decode()
    assert (found.splitlines(keepends=True)[-1] if command.endswith("| tail -1") else found) == printed


def test_each_setting_in_the_guide_is_one() -> None:
    blocks = re.findall(r"(?<!-->\n)```yaml\n(route:.*?)```", GUIDE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        RouteSettings.model_validate(yaml.safe_load(block)["route"])


def test_the_guide_knows_every_key_and_every_field() -> None:
    for name, field in RuleSpec.model_fields.items():
        assert f"`{field.alias or name}`" in GUIDE
    for path in FIELDS:
        group = path.partition(".")[0]
        assert f"`{path}`" in GUIDE or (group in ("intents", "sentiments", "urgencies") and f"`{group}." in GUIDE), path


def test_the_bounds_in_the_guide_are_those_of_the_code() -> None:
    assert f"{MAX_BYTES // 2**20} MiB and {MAX_NODES:,} values a file" in GUIDE
    assert f"{MAX_RULES:,} rules, {MAX_SILENCES:,} silences" in GUIDE
    assert f"the first {MAX_MATCHED_CHARS:,} characters" in GUIDE
