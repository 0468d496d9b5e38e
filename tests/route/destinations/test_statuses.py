"""Every HTTP status has one meaning."""

from collections.abc import Collection

import pytest

from route.destinations.statuses import Verdict, blames_settings, verdict

LATER = {401, 403, 404, 405, 407, 408, 421, 423, 425, 429}


@pytest.mark.parametrize(
    ("statuses", "meaning"),
    [
        (range(100, 200), Verdict.MAYBE_TAKEN),
        (range(200, 300), Verdict.TAKEN),
        (range(300, 400), Verdict.NOT_TAKEN_NOW),
        (LATER, Verdict.NOT_TAKEN_NOW),
        (set(range(400, 500)) - LATER, Verdict.NEVER),
        (range(500, 600), Verdict.MAYBE_TAKEN),
    ],
)
def test_every_status(statuses: Collection[int], meaning: Verdict) -> None:
    assert {status: verdict(status) for status in statuses} == dict.fromkeys(statuses, meaning)


@pytest.mark.parametrize("status", [400, 402, 406, 409, 410, 411, 413, 414, 415, 422, 451])
def test_what_the_ticket_itself_is_refused_for_is_final(status: int) -> None:
    assert verdict(status) is Verdict.NEVER


@pytest.mark.parametrize("status", [0, 600, 999, -1])
def test_what_is_no_status_is_tried_again(status: int) -> None:
    assert verdict(status) is Verdict.MAYBE_TAKEN


def test_the_settings_are_blamed_by_redirects_and_by_answers_that_speak_of_the_address_or_the_credentials() -> None:
    blaming = {*range(300, 400), 401, 403, 404, 405, 407, 421}
    assert {status for status in (None, *range(100, 600)) if blames_settings(status)} == blaming
