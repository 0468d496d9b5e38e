"""Every HTTP status has one meaning."""

import pytest

from route.destinations.statuses import Verdict, verdict

LATER = {401, 403, 404, 405, 407, 408, 421, 423, 425, 429}


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status(status: int) -> None:
    found = verdict(status)
    if status < 200 or status >= 500:
        assert found is Verdict.MAYBE_TAKEN
    elif status < 300:
        assert found is Verdict.TAKEN
    elif status < 400 or status in LATER:
        assert found is Verdict.NOT_TAKEN_NOW
    else:
        assert found is Verdict.NEVER


@pytest.mark.parametrize("status", [400, 402, 406, 409, 410, 411, 413, 414, 415, 422, 451])
def test_what_the_ticket_itself_is_refused_for_is_final(status: int) -> None:
    assert verdict(status) is Verdict.NEVER


@pytest.mark.parametrize("status", [0, 600, 999, -1])
def test_what_is_no_status_is_tried_again(status: int) -> None:
    assert verdict(status) is Verdict.MAYBE_TAKEN
