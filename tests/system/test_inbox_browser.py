"""The inbox of a real ``plaint up`` in a real browser: somebody types a complaint and sees what becomes of it.

Imports nothing of plaint's.
"""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Watched, open_browser
from tests.support.burden import burden
from tests.support.command import PLAINT, environment

pytestmark = pytest.mark.timeout(240)

START_S = 100.0
COMPLAINT = "my router is dead for the third time and nobody answers"
HOSTILE = (
    "<script>alert(1)</script><img src=//evil.example onerror=alert(2)> {{ 7*7 }} \x1b[31m \u202e my heater smokes again, "
    "nobody answers!"
)
SETTLED = """post => {
    const outcome = document.querySelector(".outcome").dataset;
    return outcome.state === "settled" && outcome.post !== post;
}"""


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the inbox of a run without sources, all of whose stages are ready."""
    folder = tmp_path_factory.mktemp("up")
    ports = {f"PLAINT_{name}__PORT": "0" for name in ("INBOX", "DOOR", "MONITORING")}
    own = environment({"PLAINT_RUNTIME_DIR": str(folder / "runtime"), **ports})
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen([PLAINT, "up"], stdout=out, stderr=out, cwd=folder, env=own)
    try:
        deadline = time.monotonic() + START_S
        while not is_ready(log := (folder / "log").read_text()):
            assert process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.1)
        found = re.search(r"inbox: (http://\S+)", log)
        assert found is not None
        yield found[1]
        assert "Traceback" not in (folder / "log").read_text()
        assert "\x1b" not in (folder / "log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def is_ready(log: str) -> bool:
    return all(f"deliver-{name}" in log for name in ("helpdesk", "service", "marketing")) and log.count("is ours") == 12


async def typed(page: Any, text: str) -> tuple[float, str]:
    """Seconds of a free machine from Send to the outcome, and what it says."""
    before = await page.get_attribute("#outcome .outcome", "data-post")
    await page.fill("#typed", text)
    began = time.monotonic()
    await page.click("button")
    await page.wait_for_function(SETTLED, arg=before, timeout=60_000)
    took = time.monotonic() - began
    return took / burden(), await page.inner_text(".headline")


async def test_a_newcomer_types_complaints_and_sees_each_as_a_ticket_within_a_second(
    inbox: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_browser() as browser:
        watched = await Watched.open(browser, inbox)
        page = await watched.go()
        await typed(page, f"{COMPLAINT}, once more")  # the first takes longer, everywhere
        medians: list[float] = []
        while len(medians) < 3 and min(medians, default=1.0) >= 1.0:  # other tests may keep the machine busy
            took = []
            for number in range(5):
                seconds, said = await typed(page, f"{COMPLAINT}, {number + 1} weeks now")
                assert re.match(r"Complaint, urgent: ticket #\d+ in the helpdesk queue", said)
                took.append(seconds)
            medians.append(sorted(took)[2])
        with capsys.disabled():
            print(f"\nfrom Send to the ticket of `plaint up`: {min(medians):.2f} s of a free machine (median of 5)")
        assert min(medians) < 1.0
        _, said = await typed(page, "Do your Halden kettles come in green?")
        assert re.match(r"Question: ticket #\d+ in the service queue", said)
        _, said = await typed(page, "Saw the Fjordline ferry from the pier today")
        assert said.startswith("Other: no ticket")
        assert "Nothing is asked of anybody" in await page.inner_text(".reasons")
        await watched.close()


async def test_a_hostile_post_is_text_from_the_form_to_its_whole_story(inbox: str) -> None:
    async with open_browser() as browser:
        watched = await Watched.open(browser, inbox, viewport={"width": 360, "height": 740})
        page = await watched.go()
        _, said = await typed(page, HOSTILE)
        assert "ticket #" in said
        assert (await page.inner_text(".outcome .text")).startswith("<script>alert(1)</script><img src=//evil.example")
        await page.click(".outcome .number")
        await page.wait_for_selector(".told:not([hidden])")
        story = await page.inner_text(".story")
        for step in ("Received from http", "Classified: ", "Routed to ", ": attempt 1 sent", ": delivered as "):
            assert step in story
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await watched.close()
