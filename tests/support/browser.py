"""A real headless browser for tests of pages: the Chromium of the system, or the one that Playwright brings.

Imports nothing of plaint.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
HOW = "install one: `apt-get install chromium`, or `.venv/bin/playwright install chromium`"
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage")
"""Chromium's sandbox does not start for root and in most containers; what it opens here are pages of our own."""


@asynccontextmanager
async def open_browser() -> AsyncIterator[Any]:
    """The browser; without one the tests that need it are skipped, and say so."""
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        pytest.skip("NOT TESTED IN A BROWSER: playwright is missing, it comes with `pip install -e '.[dev]'`")
    async with async_playwright() as playwright:
        system = next(filter(None, map(shutil.which, NAMES)), None)
        path = system or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip(f"NOT TESTED IN A BROWSER: there is no Chromium; {HOW}")
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Watched:
    """A page and all that it did which a page of ours must not do: see ``faults``."""

    page: Any
    home: str
    faults: list[str] = field(default_factory=list)

    @classmethod
    async def open(cls, browser: Any, home: str, **options: Any) -> "Watched":
        """A page in a context of its own. ``options`` are Playwright's, such as ``viewport`` or ``color_scheme``."""
        context = await browser.new_context(**options)
        found = cls(await context.new_page(), home)
        found.page.on("console", lambda said: found._note(said.type in ("error", "warning"), f"console: {said.text}"))
        found.page.on("pageerror", lambda error: found.faults.append(f"script: {error}"))
        found.page.on("dialog", lambda dialog: found.faults.append(f"dialog: {dialog.message}"))
        found.page.on("request", lambda request: found._note(not request.url.startswith(home), f"to {request.url}"))
        found.page.set_default_timeout(60_000)
        return found

    def _note(self, wrong: bool, what: str) -> None:
        if wrong:
            self.faults.append(what)

    async def go(self, path: str = "/") -> Any:
        """Load a page of ``home``."""
        await self.page.goto(self.home + path)
        return self.page

    async def close(self) -> None:
        """Close it; nothing may have been wrong."""
        await self.page.context.close()
        assert self.faults == []
