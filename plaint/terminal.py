"""Writing for people and for scripts: nothing that came with a post steers a terminal, and a reader may leave early."""

import codecs
import io
import json
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import click

from plaint.failures import is_full
from plaint.logs import escaped

STDOUT, STDERR = 1, 2
SLOW_S = 1.0
EVERY_S = 0.2
LONGEST_S = 1e9
"""Thirty years; of some hundred the clock of the machine refuses to count the seconds."""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def one_line(text: str, longest: int | None = None) -> str:
    """``text`` on one line, as ``escaped`` shows it; cut to ``longest``."""
    shown = escaped(text, keep="")
    return shown if longest is None or len(shown) <= longest else shown[: longest - 1] + "…"


def json_line(value: Any) -> str:
    """``value`` (what pydantic's ``model_dump(mode="json")`` gives) as JSON on one line, safe to be shown on a terminal."""
    return shown_json(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def shown_json(text: str) -> str:
    """The same JSON, its lines as they are, where whatever a terminal would obey is one of JSON's own escapes."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(char if char == "\n" or char.isprintable() else json.dumps(char)[1:-1] for char in text)


def show_any_sign() -> None:
    """Have stdout show a sign that its encoding lacks (that of an old locale) as JSON's escape: ``\\u201c``.

    Without it the first such sign ends the command, and most posts have one.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("plaint.escape", _json_escape)
        sys.stdout.reconfigure(errors="plaint.escape")


def _json_escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError), "it is for writing only"
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def clock(moment: datetime | None) -> str:
    """A time as people read it: UTC, to the millisecond."""
    if moment is None:
        return "-"
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def span(seconds: float) -> str:
    """A length of time in its largest unit: ``850 ms``, ``12 s``, ``3 h``, ``2 days``."""
    size = abs(seconds)
    if size < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if size >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


EPOCH = datetime.fromtimestamp(0, UTC)


def as_typed(text: str) -> str:
    """``text`` of the shell, or of a stream that is read with ``surrogateescape``, where the locale does not know UTF-8.

    Where it is ``C`` or is no locale of the machine, Python takes bytes beyond ASCII for no signs, and hands them on as they
    are, each as half a character. People type UTF-8 all the same.
    """
    return text.encode(errors="surrogateescape").decode(errors="replace")


class TextType(click.ParamType):
    """Text that may hold any sign, whatever the locale: an id, a name, what a post says."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As click asks for it."""
        return as_typed(value)


TEXT = TextType()


class MomentType(click.ParamType):
    """A time: ``10m``, ``2h``, ``3d`` ago, or ``2026-05-01T12:00:00Z``; UTC if it names no zone.

    Records are counted from 1970 on, so that an earlier time is that one.
    """

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """As click asks for it."""
        if isinstance(value, datetime):
            return value
        if found := _SPAN.fullmatch(value):
            try:
                return max(EPOCH, datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: float(found[1])}))
            except OverflowError:
                self.fail(f"{value!r} is further back than the calendar goes", param, ctx)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write 10m, 2h or 3d (ago), or 2026-05-01T12:00:00Z", param, ctx)
        return max(EPOCH, moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)


MOMENT = MomentType()


class SpanType(click.ParamType):
    """A length of time in seconds: ``90s``, ``10m``, ``2h``, ``3d``."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As click asks for it."""
        if isinstance(value, float):
            return value
        found = _SPAN.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no length of time; write 90s, 10m, 2h or 3d", param, ctx)
        return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


SPAN = SpanType()


class SecondsType(click.FloatRange):
    """A number of seconds that one can wait for: what is no number (``nan``) or has no end (``inf``) is refused too."""

    name = "seconds"

    def __init__(self, least: float) -> None:
        super().__init__(least)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As click asks for it."""
        seconds: float = super().convert(value, param, ctx)
        if not seconds <= LONGEST_S:
            self.fail(f"{value} is no number of seconds up to {LONGEST_S:,.0f}", param, ctx)
        return seconds


@contextmanager
def leaving_early() -> Iterator[None]:
    """Whoever reads our output may have seen enough (``| head``): that ends the command, and is no failure.

    It is around every command. One that works on to its end, whoever listens, says `echo_to_who_listens`, and so does whatever
    is written to stderr; one whose exit code counts says `echo_while_read`.
    """
    try:
        yield
        click.echo(nl=False)  # which flushes stdout, if there is one
    except BrokenPipeError:
        if not nobody_reads_stdout():
            raise  # another line broke
        write_nowhere()
        sys.exit(0)


def nobody_reads_stdout() -> bool:
    """Whether it is a pipe, or a socket, whose other end is closed."""
    poll = select.poll()
    poll.register(STDOUT, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def echo_while_read(line: str | bytes) -> None:
    """Write a line of what was asked for, unless whoever read our output has seen enough: the exit code is theirs all the same.
    Raises OSError on a full disk: they have not got it.
    """
    try:
        click.echo(line)
    except BrokenPipeError:
        write_nowhere()


def echo_to_who_listens(line: str | bytes, err: bool = False) -> None:
    """Write a line about work that is done or goes on to its end; see `to_who_listens`."""
    with to_who_listens(STDERR if err else STDOUT):
        click.echo(line, err=err)


@contextmanager
def to_who_listens(stream: int) -> Iterator[None]:
    """What is written to this stream meanwhile is lost, and ends nothing, once whoever read it has seen enough (``| head``),
    or the disk under it is full.
    """
    try:
        yield
    except BrokenPipeError:
        write_nowhere(stream)
    except OSError as error:
        if not is_full(error):
            raise
        write_nowhere(stream)
        with suppress(OSError):  # which may lie on the same disk
            click.echo(f"plaint: {error.strerror}: what was done is done, what it says of it is lost", err=True)


def write_nowhere(stream: int = STDOUT) -> None:
    """Have this stream go nowhere: Python flushes it once more as it ends, and would complain then."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream)
    os.close(nowhere)


class Reading:
    """Tells on stderr how far reading has come, if a person looks on and it takes long. A ``plaint.kafka.reading.Progress``."""

    def __init__(self, what: str, now: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._now = now
        self._began = self._said = now()
        self._shown = False

    def __call__(self, read: int, total: int) -> None:
        """See Progress."""
        now = self._now()
        if now - self._began < SLOW_S or now - self._said < EVERY_S or not sys.stderr.isatty():
            return
        self._said, self._shown = now, True
        share = read / total if total else 1.0
        click.echo(f"\r\x1b[K{self._what}: {share:.0%} of {total:,} records", err=True, nl=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away again."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)


def confirmed(question: str, yes: bool) -> None:
    """Return if the person agrees, or has agreed (``yes``). Raises click.Abort, or UsageError where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here: say --yes")
    click.confirm(question, abort=True, err=True)
