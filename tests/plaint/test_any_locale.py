"""What people type comes through whole, whatever the locale says that they type."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ingest.http_door import Shelf, open_door

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0"}
"""As cron, a container or an ssh with a foreign locale has it; Python on its own would take such a locale for UTF-8."""
UTF_8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}


def sent(folder: Path, locale: dict[str, str], *arguments: str, stdin: bytes = b"") -> Shelf:
    """What comes to the door of ``plaint send``."""
    shelf = Shelf()
    with open_door(shelf) as door:
        done = subprocess.run(
            [sys.executable, "-m", "plaint", "send", "--to", f"http://127.0.0.1:{door.port}", *arguments],
            input=stdin,
            capture_output=True,
            cwd=folder,
            env=os.environ | locale,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    return shelf


@pytest.mark.parametrize("locale", [ASCII, UTF_8], ids=["ASCII", "UTF-8"])
def test_a_post_that_is_typed_keeps_its_signs(tmp_path: Path, locale: dict[str, str]) -> None:
    words = ("--id", "ü1", "--author", "@änne", "--network", "ñ", "Der Router 🔥 ist tot")
    [post] = sent(tmp_path, locale, *words).posts
    assert (post.id, post.author.handle, post.network, post.text) == ("ü1", "@änne", "ñ", "Der Router 🔥 ist tot")


@pytest.mark.parametrize("locale", [ASCII, UTF_8], ids=["ASCII", "UTF-8"])
def test_so_does_one_that_comes_from_standard_input(tmp_path: Path, locale: dict[str, str]) -> None:
    [post] = sent(tmp_path, locale, "-", stdin="Grüße 🔥\n".encode()).posts
    assert post.text == "Grüße 🔥"


def test_bytes_that_are_no_sign_in_any_case_are_shown_as_such(tmp_path: Path) -> None:
    [post] = sent(tmp_path, UTF_8, "-", stdin=b"Gr\xfc\xdfe\n").posts
    assert post.text == "Gr��e"
