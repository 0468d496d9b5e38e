"""Routes that are read again while they are in use: one table a batch, a good file over a bad one, an answer to who asked."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plaint.kafka.admin import open_admin
from plaint.kafka.settings import KafkaSettings
from plaint.local.running import announced
from plaint.reloading.asking import faults_before, reload, restarts_needed, targets
from plaint.reloading.hangup import on_hangup
from plaint.reloading.hot_routes import RunRoutes, WorkerRoutes
from plaint.reloading.routes_in_use import RoutesInUse
from plaint.settings import Settings
from plaint.workers.route import RouteStage
from plaint.workers.stage import Dropped, InRecord, Outcome, Result
from route.rules import RouteTable
from route.yamlfile import FileInvalid
from schemas import topics
from schemas.post import Post
from schemas.reasons import DropReason
from schemas.triage import Triage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = """\
rules:
  - {{name: complaints, why: A complaint., match: {{intent: complaint}}, destinations: [{destination}]}}
  - {{name: rest, why: The rest., destinations: []}}
"""
BAD = "rules:\n  - {name: a, why: b, destinations: [helpdesk, nowhere]}\n"
NOBODY = KafkaSettings(brokers=("127.0.0.1:9",))


pytestmark = pytest.mark.usefixtures("runtime")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "routes.yaml"
    path.write_text(RULES.format(destination="helpdesk"))
    return path


def triaged(offset: int) -> InRecord:
    post = Post(id=f"x:{offset}", text="the parcel is late")
    triage = Triage(post=post, intent="complaint", triaged_at=NOW)
    return InRecord(topics.TRIAGED, 0, offset, post.id.encode(), triage.to_bytes(), 0.0)


def went(found: list[Outcome]) -> list[str]:
    return [record.topic for outcome in found if isinstance(outcome, Result) for record in outcome.records]


def tables(file: Path) -> tuple[RouteTable, RouteTable]:
    """Two versions of one file: everything to the helpdesk, everything to service."""
    first = RouteTable.load(file, ("helpdesk", "service"))
    file.write_text(RULES.format(destination="service"))
    return first, RouteTable.load(file, ("helpdesk", "service"))


def test_a_version_is_that_of_the_content_alone(file: Path, tmp_path: Path) -> None:
    first, second = tables(file)
    (tmp_path / "other.yaml").write_bytes(file.read_bytes())
    assert first.version != second.version
    assert RouteTable.load(tmp_path / "other.yaml", ("helpdesk", "service")).version == second.version
    assert len(second.version) == 12


def test_a_batch_is_routed_by_one_table_also_where_another_one_comes_amid_it(file: Path) -> None:
    first, second = tables(file)
    stage = RouteStage(first, 4, 100)
    batch = [triaged(number) for number in range(3)]
    stage.unknown(batch)
    stage.use(second)  # while the batch is being worked on
    assert went(stage.process(batch)) == ["plaint.tickets.helpdesk"] * 3
    assert went(stage.process(batch[:1])) == ["plaint.tickets.helpdesk"]  # one by one, since the batch failed, say
    stage.took(batch)
    later = [triaged(3)]
    stage.unknown(later)
    assert went(stage.process(later)) == ["plaint.tickets.service"]


def test_a_post_that_was_routed_keeps_its_ticket_whatever_the_routes_say_later(file: Path) -> None:
    first, second = tables(file)
    stage = RouteStage(first, 4, 100)
    stage.unknown([triaged(0)])
    stage.process([triaged(0)])
    stage.took([triaged(0)])
    stage.use(second)
    again = InRecord(topics.TRIAGED, 0, 1, b"x:0", triaged(0).value, 0.0)
    stage.unknown([again])
    assert stage.process([again]) == [Dropped(DropReason.REPEATED)]


class TestWorkerRoutes:
    def test_new_routes_are_used_once_the_topics_are_there(self, tansu: str, file: Path, fresh: str) -> None:
        kafka = KafkaSettings(brokers=(tansu,), idempotent_producer=False)
        names = (f"helpdesk-{fresh}", f"service-{fresh}")
        file.write_text(RULES.format(destination=names[0]))
        routes = WorkerRoutes(kafka, file, names)
        before = routes.table
        file.write_text(RULES.format(destination=names[1]))
        used: list[RouteTable] = []
        there: list[set[str]] = []

        def use(table: RouteTable) -> None:
            with open_admin(kafka, 5) as admin:
                there.append(set(admin.list_topics()))
            used.append(table)

        assert routes.reload(use)
        assert [table.version for table in used] == [routes.table.version]
        assert routes.table.version != before.version
        assert topics.tickets(names[1]) in there[0]
        told = RoutesInUse.of(os.getpid())
        assert told is not None
        assert (told.version, told.tries, told.faults) == (routes.table.version, 1, ())

    def test_a_bad_file_is_refused_with_all_its_faults_and_the_good_one_stays(
        self, file: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        routes = WorkerRoutes(NOBODY, file, ("helpdesk",))
        good = routes.table
        file.write_text(BAD)
        assert not routes.reload(lambda table: pytest.fail("it was used"))
        assert routes.table is good
        said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert any('undefined destination "nowhere" used in rule "a"' in line for line in said)
        assert any("needs a restart" in line for line in said)
        assert said[-1] == f"routes: {file} was refused, version {good.version} stays in use"
        told = RoutesInUse.of(os.getpid())
        assert told is not None
        assert (told.version, told.tries, len(told.faults)) == (good.version, 1, 1)
        assert routes.state().refused == told.faults

    def test_a_file_that_is_gone_is_refused_too(self, file: Path) -> None:
        routes = WorkerRoutes(NOBODY, file, ("helpdesk",))
        file.unlink()
        assert not routes.reload(lambda table: pytest.fail("it was used"))

    def test_without_a_broker_for_the_topics_the_old_routes_stay(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("plaint.reloading.hot_routes.TOPICS_S", 0.2)
        routes = WorkerRoutes(NOBODY, file, ("helpdesk", "service"))
        good = routes.table
        file.write_text(RULES.format(destination="service"))
        assert not routes.reload(lambda table: pytest.fail("it was used"))
        assert routes.table is good

    def test_a_password_file_of_kafka_that_is_just_being_replaced_refuses_the_new_routes(
        self, file: Path, tmp_path: Path
    ) -> None:
        key = tmp_path / "key"
        key.write_text("s3same")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            secret = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "me", "sasl_password_file": key}
            broker = f"127.0.0.1:{listener.getsockname()[1]}"
            kafka = KafkaSettings.model_validate({"brokers": [broker], "sasl_mechanism": "PLAIN", **secret})
            routes = WorkerRoutes(kafka, file, ("helpdesk", "service"))
            file.write_text(RULES.format(destination="service"))
            key.unlink()
            assert not routes.reload(lambda table: pytest.fail("it was used"))
        assert "sasl_password_file" in routes.state().refused[0]

    def test_an_unchanged_file_needs_neither_topics_nor_a_new_table(self, file: Path) -> None:
        routes = WorkerRoutes(NOBODY, file, ("helpdesk",))
        assert routes.reload(lambda table: pytest.fail("it was used"))

    def test_a_file_with_faults_at_the_start_is_refused(self, file: Path) -> None:
        file.write_text(BAD)
        with pytest.raises(FileInvalid):
            WorkerRoutes(NOBODY, file, ("helpdesk",))


WORKER = """
import os, signal, sys
from pathlib import Path
from plaint.reloading.hot_routes import answered
from plaint.reloading.routes_in_use import RoutesInUse
from route.rules import RouteTable
copy, refuses = Path(sys.argv[1]), sys.argv[2:] == ["refuses"]
names = ("helpdesk", "service")
told = RoutesInUse.here("route", copy, RouteTable.load(copy, names).version, names)
def again(*_):
    global told
    if refuses:
        told = answered(told, told.version, ["it can't be"])
    else:
        told = answered(told, RouteTable.load(copy, names).version, [])
    told.announce()
signal.signal(signal.SIGHUP, again)
told.announce()
print("ready", flush=True)
while True: signal.pause()
"""


class Worker:
    """A route worker as far as ``plaint up`` sees it, in a process of its own."""

    def __init__(self, copy: Path, *how: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(copy), *how], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


class TestRunRoutes:
    @pytest.fixture
    def routes(self, file: Path, tmp_path: Path) -> RunRoutes:
        return RunRoutes(file, ("helpdesk", "service"), tmp_path)

    @pytest.fixture
    def workers(self) -> Iterator[list[Worker]]:
        started: list[Worker] = []
        yield started
        for worker in started:
            worker.end()

    @staticmethod
    async def again(routes: RunRoutes, worker: Worker | None, counted: list[RouteTable] | None = None) -> RoutesInUse:
        """Have them read once more; what the run then tells."""
        before = RoutesInUse.of(os.getpid())
        pid = None if worker is None else worker.process.pid
        following = asyncio.create_task(routes.follow(lambda: pid, (counted if counted is not None else []).append))
        routes.want()
        try:
            async with asyncio.timeout(60):
                while (now := RoutesInUse.of(os.getpid())) is None or now == before:  # noqa: ASYNC110 - it is a file
                    await asyncio.sleep(0.01)
                return now
        finally:
            following.cancel()

    async def test_the_worker_gets_a_copy_that_was_checked_and_the_census_hears_of_it_first(
        self, routes: RunRoutes, file: Path, workers: list[Worker]
    ) -> None:
        workers.append(Worker(routes.copy))
        counted: list[RouteTable] = []
        file.write_text(RULES.format(destination="service"))
        told = await self.again(routes, workers[0], counted)
        assert told.version == routes.table.version == counted[0].version
        assert (told.role, told.file, told.faults) == ("up", file, ())
        assert routes.copy.read_bytes() == file.read_bytes()
        of_worker = RoutesInUse.of(workers[0].process.pid)
        assert of_worker is not None
        assert of_worker.version == told.version

    async def test_a_bad_file_leaves_the_copy_as_it_was(
        self, routes: RunRoutes, file: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        good = file.read_bytes()
        file.write_text(BAD)
        told = await self.again(routes, None)
        assert routes.copy.read_bytes() == good
        assert told.version == routes.table.version
        assert told.faults[0].startswith('routes.yaml:2, rule "a"')

    async def test_what_the_worker_refuses_is_taken_back(
        self, routes: RunRoutes, file: Path, workers: list[Worker]
    ) -> None:
        good, before = file.read_bytes(), routes.table.version
        workers.append(Worker(routes.copy, "refuses"))
        file.write_text(RULES.format(destination="service"))
        told = await self.again(routes, workers[0])
        assert (told.version, told.faults) == (before, ("it can't be",))
        assert routes.copy.read_bytes() == good

    async def test_a_worker_that_never_answers_is_told_of(
        self, routes: RunRoutes, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("plaint.reloading.hot_routes.HAND_OVER_S", 0.2)
        file.write_text(RULES.format(destination="service"))
        told = await self.again(routes, None)
        assert told.faults == ("the route worker did not take them up within 0.2 s; its log may say why",)


class TestReload:
    def test_nobody_runs(self) -> None:
        with pytest.raises(
            Exception, match=r"no `plaint up`, no `plaint run route` and no `plaint run classify` of this"
        ):
            targets()

    def test_a_process_that_ended_is_not_found(self, runtime: Path, file: Path) -> None:
        told = RoutesInUse.here("route", file, "1", ())
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        told.model_copy(update={"pid": gone.pid}).announce()
        assert RoutesInUse.all() == []
        assert not list(runtime.glob("routes-*"))

    def test_the_route_workers_are_told_and_waited_for(self, file: Path) -> None:
        worker = Worker(file)
        try:
            (known,) = targets()
            before = known.version
            file.write_text(RULES.format(destination="service"))
            (done,) = reload([known])
            assert (done.before, done.role, done.faults) == (before, "route", ())
            assert done.version == RouteTable.load(file, ("helpdesk", "service")).version
            assert "from now on, was" in done.text
            (again,) = reload(targets())
            assert "is unchanged" in again.text
        finally:
            worker.end()
        with pytest.raises(Exception, match=r"ended|can't be told"):
            list(reload([known]))

    def test_a_running_up_is_preferred_to_its_worker(self, file: Path) -> None:
        worker = Worker(file)
        mine = RoutesInUse.here("up", file, "1", ("helpdesk",))
        mine.announce()
        try:
            with announced(None):
                assert [known.pid for known in targets()] == [os.getpid()]
            mine.retract()
            with announced(None), pytest.raises(Exception, match="just starting or ending"):
                targets()
        finally:
            worker.end()

    def test_the_file_is_checked_with_the_destinations_of_who_reads_it(self, file: Path) -> None:
        known = RoutesInUse.here("up", file, "1", ("service",))
        assert faults_before([known])[0].startswith('routes.yaml:2, rule "complaints", destinations.0: undefined')
        assert faults_before([known.model_copy(update={"destinations": ("helpdesk",)})]) == []

    def test_what_is_new_in_the_settings_needs_a_restart_and_says_so(self, file: Path, tmp_path: Path) -> None:
        known = RoutesInUse.here("up", file, "1", ("helpdesk",))
        hook = {"url": "https://desk.example.com/", "secret": "whsec_" + "A" * 32}
        settings = Settings.model_validate({"destinations": {"helpdesk": hook, "annex": hook}})
        (line,) = restarts_needed(settings, [known])
        assert line.startswith(f"destinations.annex: process {os.getpid()} does not know it; destinations are settings")
        settings = Settings.model_validate({"route": {"routes": str(tmp_path / "other.yaml")}})
        (line,) = restarts_needed(settings, [known])
        assert line.endswith("this needs a restart")
        assert list(restarts_needed(Settings.model_validate({"route": {"routes": str(file)}}), [known])) == []

    def test_a_link_that_leads_to_another_file_by_now_is_followed_anew(self, tmp_path: Path) -> None:
        before, after, link = (tmp_path / name for name in ("1.yaml", "2.yaml", "routes.yaml"))
        before.write_text(RULES.format(destination="helpdesk"))
        after.write_text(RULES.format(destination="service"))
        link.symlink_to(before)
        settings = Settings.model_validate({"route": {"routes": str(link)}})
        worker = Worker(link)
        try:
            before.unlink()
            link.unlink()
            link.symlink_to(after)
            found = targets()
            assert list(restarts_needed(settings, found)) == []
            assert faults_before(found) == []
            (done,) = reload(found)
            assert (done.faults, done.changed) == ((), True)
            assert done.version == RouteTable.load(after, ("helpdesk", "service")).version
        finally:
            worker.end()

    def test_a_folder_that_cannot_be_written_stops_nobody(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "plain").touch()
        monkeypatch.setenv("PLAINT_RUNTIME_DIR", str(tmp_path / "plain" / "run"))
        RoutesInUse.here("route", file, "1", ()).announce()
        assert "set PLAINT_RUNTIME_DIR" in caplog.text


def test_each_hangup_is_heard_and_those_that_come_meanwhile_are_one() -> None:
    before = signal.getsignal(signal.SIGHUP)
    begun, may_go_on = threading.Semaphore(0), threading.Event()

    def act() -> None:
        begun.release()
        may_go_on.wait(60)

    try:
        on_hangup(act)
        os.kill(os.getpid(), signal.SIGHUP)
        assert begun.acquire(timeout=60)
        for _ in range(4):
            os.kill(os.getpid(), signal.SIGHUP)
        may_go_on.set()
        assert begun.acquire(timeout=60)
        assert not begun.acquire(timeout=0.3)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_a_hangup_asks_for_may_fail_and_the_next_one_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    before = signal.getsignal(signal.SIGHUP)
    calls: list[float] = []

    def act() -> None:
        calls.append(time.monotonic())
        raise TypeError("unhashable type: 'list'")

    try:
        on_hangup(act)
        for wanted in (1, 2):
            os.kill(os.getpid(), signal.SIGHUP)
            deadline = time.monotonic() + 60
            while len(calls) < wanted and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(calls) == wanted
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "what SIGHUP asked for failed" in caplog.text
