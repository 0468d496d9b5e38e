"""What an HTTP status says about trying again: the one table for every destination that speaks HTTP."""

from enum import Enum, auto

GONE = 410
PROXY_LOGIN_WANTED = 407
"""Of the answers to a request that a proxy passes on in the clear, the one that can only be its own."""


class Verdict(Enum):
    """What an answer means for its ticket."""

    TAKEN = auto()
    NOT_TAKEN_NOW = auto()
    """Again later; it certainly wasn't taken."""
    MAYBE_TAKEN = auto()
    """Again later; it may have been taken all the same."""
    NEVER = auto()


_LATER = {
    401,  # the secret is being rotated
    403,
    404,  # an address in the middle of a deployment
    405,
    407,
    408,
    421,
    423,
    425,
    429,
}
"""4xx that speak of the moment, the credentials or the address, not of the ticket. The ticket is kept while a person
mends the settings; if it was the ticket after all, its tries end some time."""


_SETTINGS = {401, 403, 404, 405, 407, 421}


def blames_settings(status: int | None) -> bool:
    """Whether an answer speaks of the address or the credentials, redirects included, since they aren't followed."""
    return status is not None and (300 <= status < 400 or status in _SETTINGS)


def verdict(status: int) -> Verdict:
    """2xx taken; 3xx later, since redirects aren't followed; 4xx never but for those above; all else maybe taken."""
    if 200 <= status < 300:
        return Verdict.TAKEN
    if 300 <= status < 400 or status in _LATER:
        return Verdict.NOT_TAKEN_NOW
    if 400 <= status < 500:
        return Verdict.NEVER
    return Verdict.MAYBE_TAKEN
