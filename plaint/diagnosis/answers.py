"""What to do about what a destination answers, or about an error in a stage's log."""

import re

from route.destinations.statuses import Verdict, verdict

_STATUS = re.compile(r"(?:^|[:;] |last: |answered )([1-5]\d\d)\b")
_PROXYS = re.compile(r"(?:^|last: |destination: )the proxy answered ([1-5]\d\d)\b")
_BY_PROXY = {
    403: "ask who runs the proxy in destinations.{name}.proxy to let the host in destinations.{name}.url through, at its port",
    407: "set destinations.{name}.proxy_login or proxy_login_file to the user:password that the proxy in "
    "destinations.{name}.proxy knows",
}
_PROXY_FAILS = (
    "the proxy can't reach the receiver: compare the host in destinations.{name}.url with what its owner gives out, and ask "
    "who runs the proxy for its log"
)
_PROXY_REFUSES = (
    "look whether destinations.{name}.proxy is the address of an HTTP proxy that takes CONNECT; who runs it finds more in "
    "its log"
)
_BY_STATUS = {
    401: "the secret is not the one that it knows, or one of the clocks is off: compare destinations.{name}.secret_file with "
    "the receiver's, `plaint doctor` compares the clocks, `plaint doctor --send-test` tries again",
    403: "the receiver knows the caller and forbids the call: look at its rules for this address and secret",
    404: "there is no such address: compare destinations.{name}.url with what the receiver gives out",
    410: "its owner took this address away for good: ask for the new one, set destinations.{name}.url and restart its deliver "
    "workers, then `plaint dead replay --reason refused --force` sends what was refused",
    413: "it takes smaller bodies only: let it take 20 kB",
    429: "it wants fewer requests: set destinations.{name}.concurrency or max_per_minute to what it allows",
}
_REFUSES = (
    "it refuses what tickets hold: its answer says what, `plaint dead list --reason refused` shows them; once that is mended "
    "`plaint dead replay --reason refused --force` sends them again"
)
_BY_WORDS = {
    "no connection to the proxy": "look whether the proxy runs, at destinations.{name}.proxy and at the firewall between; "
    "`plaint doctor` tries it",
    "through the proxy": _PROXY_FAILS,
    "the proxy gives no": _PROXY_REFUSES,
    "certificate": "look at its certificate with `plaint doctor`; a private authority goes into destinations.{name}.ca_file",
    "private network": "its name leads into a private network: set destinations.{name}.allow_private if that is meant",
    "no connection": "look whether it runs and whether this machine reaches it: `plaint doctor` tells DNS, TCP and TLS apart",
    "no answer in time": "it is slower than destinations.{name}.timeout_s: look at its load, or give it more time",
    "AuthorizationFailed": "a right is missing: `plaint doctor` names it with the command that grants it",
    "NotEnoughReplicas": "brokers are down or full: look at their disks and logs, `plaint doctor` shows them",
    "KafkaStorage": "a disk of a broker failed or is full: `plaint doctor` shows them",
    "MessageSizeTooLarge": "set max.message.bytes of the topic to 1048588 again",
    "PLAINT_INSTANCE": "give each process of a stage a PLAINT_INSTANCE of its own, such as its pod's name, and restart them",
    "StageBroken": "the stage fails on sound records: its log says why, `plaint doctor` tries the model",
}


def status_of(detail: str) -> int | None:
    """The HTTP status in an answer as delivery words it: ``401 bad signature``, ``3 tries; the last: 503``.

    That of a proxy is none: it isn't the destination's answer.
    """
    found = None if _PROXYS.search(detail) else _STATUS.search(detail)
    return int(found[1]) if found else None


def mend_of(detail: str, destination: str = "") -> str:
    """What to do about it; where nothing particular is known, where to look."""
    proxys = _PROXYS.search(detail)
    if proxys is not None:
        return _proxy_mend(int(proxys[1])).format(name=destination or "<id>")
    status = status_of(detail)
    if status is not None and status in _BY_STATUS:
        return _BY_STATUS[status].format(name=destination or "<id>")
    if status is not None and status >= 500:
        return "the receiver itself fails: look at its log; tickets wait and go by themselves when it is back"
    if status is not None and 300 <= status < 400:
        return f"redirects are not followed: set destinations.{destination or '<id>'}.url to where it leads"
    if status is not None and verdict(status) is Verdict.NEVER:
        return _REFUSES
    for words, mend in _BY_WORDS.items():
        if words.casefold() in detail.casefold():
            return mend.format(name=destination or "<id>")
    return "look at its log; `plaint doctor` tries what it needs"


def _proxy_mend(status: int) -> str:
    return _BY_PROXY.get(status, _PROXY_FAILS if status >= 500 else _PROXY_REFUSES)


def enable_mend(why: str, destination: str) -> str:
    """What to do about a destination that is disabled for that reason."""
    enable = f"`plaint destination enable {destination}` sends again"
    if status_of(why) is None:  # a person turned it off, who said why
        return f"once that is over {enable}"
    return f"{mend_of(why, destination)}; {enable}"
