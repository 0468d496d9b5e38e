"""A model that changes while posts are labelled: one model a batch, a good one over a bad one, the old one's memory back."""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from kafka import KafkaProducer

from classify.settings import ClassifySettings
from models.choice import ModelChoice
from models.store import Store
from plaint.commands.reload import reload_
from plaint.kafka.settings import KafkaSettings
from plaint.kafka.topics import ensure_topics
from plaint.local.running import announced
from plaint.model_choice import taken_by
from plaint.monitoring.readings import Readings
from plaint.reloading.asking import reload, restarts_needed, targets
from plaint.reloading.hot_model import WorkerModel
from plaint.reloading.model_in_use import ModelInUse
from plaint.reloading.run_model import RunModel
from plaint.settings import Settings
from plaint.workers.batches import stage_thread
from plaint.workers.classify import ClassifyStage
from plaint.workers.stage import InRecord, Outcome, Result
from schemas import topics
from schemas.post import Post
from schemas.triage import Triage
from tests.plaint.monitoring.test_readings import samples
from tests.support.command import PLAINT, environment
from tests.support.kafka_process import REPOSITORY, die_with_parent, free_ports
from tests.support.topic_reading import records
from tests.support.weights import make_weights

FIRST, SECOND = "first-1", "second-1"
LIMIT_S = 90.0


pytestmark = pytest.mark.usefixtures("runtime")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two sound models, of which the first is chosen, and one whose network is damaged."""
    make_weights(tmp_path / "models", FIRST, SECOND)
    store = Store(tmp_path / "models")
    store.use(FIRST)
    return store


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with stage_thread("classify") as made:
        yield made


@pytest.fixture
def model(store: Store, thread: ThreadPoolExecutor) -> WorkerModel:
    return WorkerModel(settings(store), thread.submit)


def settings(store: Store, **fields: Any) -> ClassifySettings:
    return ClassifySettings(models=store.folder, threads=1, **fields)


def post(number: int) -> InRecord:
    value = Post(id=f"x:{number}", text=f"Order {number} never came").to_bytes()
    return InRecord(topics.POSTS, 0, number, b"k", value, 0.0)


def labelled_by(found: list[Outcome]) -> set[str]:
    out = [record.value for outcome in found if isinstance(outcome, Result) for record in outcome.records]
    return {Triage.from_bytes(value).model_version for value in out}


class TestWorkerModel:
    def test_the_chosen_model_takes_over_and_the_old_one_is_freed(
        self, model: WorkerModel, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        stage = ClassifyStage(model.meter, 100)
        engine = model.meter._used.model
        old, network = weakref.ref(engine), weakref.ref(engine._session)  # type: ignore[attr-defined]
        del engine
        assert labelled_by(stage.process([post(number) for number in range(40)])) == {FIRST}
        store.use(SECOND)
        gc.disable()  # it has to go by itself, at once
        try:
            assert model.reload()
            assert (old(), network()) == (None, None)
        finally:
            gc.enable()
        assert labelled_by(stage.process([post(number) for number in range(40, 50)])) == {SECOND}
        assert f"model: {SECOND} on onnxruntime" in caplog.text
        assert f"from now on, was {FIRST}" in caplog.text

    def test_metrics_name_the_new_one_and_count_on(self, model: WorkerModel, store: Store) -> None:
        stage = ClassifyStage(model.meter, 0)
        stage.process([post(0), post(1), post(1)])
        store.use(SECOND)
        assert model.reload()
        stage.process([post(0)])
        readings = Readings("classify")
        model.meter.read(readings)
        assert samples(readings, "plaint_model_texts_total") == {("computed",): 3, ("known",): 0}
        assert [version for version, _ in samples(readings, "plaint_model_info")] == [SECOND]
        assert samples(readings, "plaint_reload_refused") == {(): 0}
        assert model.meter.state()["model"]["version"] == SECOND

    def test_a_batch_is_labelled_by_one_model_also_where_another_one_comes_amid_it(
        self, model: WorkerModel, store: Store, thread: ThreadPoolExecutor
    ) -> None:
        stage, goes_on, taken = ClassifyStage(model.meter, 100), threading.Event(), list[str]()

        def batch() -> list[Outcome]:  # as one that failed is worked on: one post after the other
            found = stage.process([post(0)])
            goes_on.wait(60)
            return found + stage.process([post(1)])

        working = thread.submit(batch)
        store.use(SECOND)
        reloading = threading.Thread(target=lambda: taken.append(str(model.reload())))
        reloading.start()
        deadline = time.monotonic() + 60
        while not thread._work_queue.qsize() and time.monotonic() < deadline:
            time.sleep(0.01)  # until it is loaded and waits for the batch to end
        assert thread._work_queue.qsize() == 1
        assert (taken, model.meter.version) == ([], FIRST)
        goes_on.set()
        assert labelled_by(working.result()) == {FIRST}
        reloading.join()
        assert (taken, model.meter.version) == (["True"], SECOND)

    @pytest.mark.parametrize(("spoil", "words"), [("damaged", "has sha256"), ("gone", "it isn't there any more")])
    def test_one_that_can_not_be_loaded_is_refused_and_the_old_one_goes_on(
        self, model: WorkerModel, store: Store, caplog: pytest.LogCaptureFixture, spoil: str, words: str
    ) -> None:
        if spoil == "gone":
            store.use(SECOND)
            (store.folder / SECOND / "manifest.json").unlink()
        else:
            store.use(spoil)
        assert not model.reload()
        assert labelled_by(ClassifyStage(model.meter, 100).process([post(0)])) == {FIRST}
        told = ModelInUse.of(os.getpid())
        assert told is not None
        assert (told.version, told.tries, told.changed) == (FIRST, 1, False)
        assert words in told.faults[0]
        assert model.meter.state()["model"]["refused"] == told.faults
        said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert said == [f"model: {told.faults[0]}", f"model: the one that is chosen was refused, {FIRST} stays in use"]
        readings = Readings("classify")
        model.meter.read(readings)
        assert samples(readings, "plaint_reload_refused") == {(): 1}

        store.rollback()
        assert model.reload()
        assert model.meter.state()["model"]["refused"] == ()

    @pytest.mark.parametrize("wrong", ["raises", "no numbers"])
    def test_one_that_fails_on_a_plain_post_is_refused(
        self, model: WorkerModel, store: Store, monkeypatch: pytest.MonkeyPatch, wrong: str
    ) -> None:
        def triage(posts: list[Post]) -> list[Any]:
            if wrong == "raises":
                raise ZeroDivisionError("by zero")
            return [SimpleNamespace(intents={"complaint": float("nan")}, sentiments={}, urgencies={})]

        broken = (SimpleNamespace(triage=triage), SimpleNamespace(version=SECOND))
        monkeypatch.setattr("plaint.reloading.hot_model.load_classifier", lambda settings: broken)
        store.use(SECOND)
        assert not model.reload()
        told = ModelInUse.of(os.getpid())
        assert told is not None
        assert "a plain post" in told.faults[0]
        assert "`plaint models rollback`" in told.faults[0]
        assert model.meter.version == FIRST

    def test_what_the_settings_name_stays_whatever_is_chosen(self, store: Store, thread: ThreadPoolExecutor) -> None:
        named = WorkerModel(settings(store, model=ModelChoice(name=FIRST)), thread.submit)
        store.use(SECOND)
        assert named.reload()
        told = ModelInUse.of(os.getpid())
        assert told is not None
        assert (told.version, told.named, told.changed) == (FIRST, FIRST, False)
        line, _ = taken_by(settings(store))
        assert f"does not take it: its settings name {FIRST}, which wins" in line

    def test_new_weights_in_the_same_folder_are_another_model(self, model: WorkerModel, store: Store) -> None:
        manifest = store.folder / FIRST / "manifest.json"
        manifest.write_text(manifest.read_text().replace(FIRST, "first-2"))
        assert model.reload()
        assert model.meter.version == "first-2"

    def test_a_process_that_ends_loads_nothing_more(self, model: WorkerModel, store: Store, runtime: Path) -> None:
        model.announce()
        model.end()
        store.use(SECOND)
        assert not model.reload()
        assert not list(runtime.glob("model-*"))

    def test_a_process_whose_batches_have_ended_meanwhile_keeps_the_old_one(
        self, model: WorkerModel, store: Store, thread: ThreadPoolExecutor
    ) -> None:
        thread.shutdown()
        store.use(SECOND)
        assert not model.reload()
        assert model.meter.version == FIRST


WORKER = """
import signal, sys
from pathlib import Path
from plaint.reloading.model_in_use import ModelInUse
told = ModelInUse(role="classify", version="a", folder=Path(sys.argv[1]))
def again(*_):
    global told
    changes = {"tries": told.tries + 1, "version": "b", "before": told.version, "changed": told.version != "b"}
    told = told.model_copy(update=changes)
    told.announce()
signal.signal(signal.SIGHUP, again)
told.announce()
print("ready", flush=True)
while True: signal.pause()
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that answers like a classify worker."""
    command = [sys.executable, "-c", WORKER, str(tmp_path / "models")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


class TestReload:
    def test_each_classify_worker_is_told_and_waited_for(self, worker: "subprocess.Popen[bytes]") -> None:
        (done,) = reload(targets())
        assert (done.what, done.role, done.before, done.version, done.changed) == ("model", "classify", "a", "b", True)
        assert done.text.endswith(": model b () from now on, was a")
        (again,) = reload(targets())
        assert again.text.endswith(": model b is unchanged")

    async def test_up_tells_its_worker_and_what_it_said(
        self, worker: "subprocess.Popen[bytes]", tmp_path: Path
    ) -> None:
        run = RunModel(ClassifySettings(models=tmp_path / "models"))
        run.announce()
        following = asyncio.create_task(run.follow(lambda: worker.pid))
        run.want()
        deadline = time.monotonic() + 60
        while (told := ModelInUse.of(os.getpid())) is None or not told.tries:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        following.cancel()
        assert (told.role, told.before, told.version, told.changed) == ("up", "a", "b", True)
        with announced(None):
            (line,) = taken_by(ClassifySettings(models=tmp_path / "models"))
            assert line == f"`plaint reload` has `plaint up` (process {os.getpid()}) take it now"
            (other,) = taken_by(ClassifySettings(models=tmp_path / "others"))
            assert other.endswith(f"does not take it: its classify.models is {tmp_path / 'models'}")
        run.retract()
        assert ModelInUse.of(os.getpid()) is None

    async def test_a_worker_that_never_answers_is_told_of(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("plaint.reloading.run_model.ANSWER_S", 0.1)
        run = RunModel(ClassifySettings(models=tmp_path))
        following = asyncio.create_task(run.follow(lambda: None))
        run.want()
        while (told := ModelInUse.of(os.getpid())) is None:  # noqa: ASYNC110 - it is a file
            await asyncio.sleep(0.01)
        following.cancel()
        assert told.faults == ("the classify worker did not answer within 0.1 s",)

    def test_another_model_in_the_settings_needs_a_restart(self, tmp_path: Path) -> None:
        known = ModelInUse(role="classify", version="a", folder=tmp_path)
        found = Settings.model_validate({"classify": {"model": "other"}})
        (line,) = restarts_needed(found, [known])
        assert line == (
            f"classify.model: is other, but process {os.getpid()} uses what `plaint models use` chose; "
            "this needs a restart"
        )
        assert list(restarts_needed(found, [known.model_copy(update={"named": "other"})])) == []


class Feed(threading.Thread):
    """Writes a post every few milliseconds, until it is told to end."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__()
        self._producer = KafkaProducer(bootstrap_servers=bootstrap)
        self._enough = threading.Event()
        self.count = 0

    def run(self) -> None:
        while not self._enough.wait(0.01):
            value = Post(id=f"x:{self.count}", text=f"Order {self.count} never came, where is it?").to_bytes()
            self._producer.send(topics.POSTS, value, key=b"%d" % self.count)
            self.count += 1

    def end(self) -> None:
        self._enough.set()
        self.join()
        self._producer.close()


class Worker:
    """A real classify worker and what it tells of itself."""

    def __init__(self, bootstrap: str, store: Store, folder: Path) -> None:
        port = free_ports(1)[0]
        self._log = folder / "log"
        own = {
            "PLAINT_KAFKA__BROKERS": json.dumps([bootstrap]),
            "PLAINT_KAFKA__IDEMPOTENT_PRODUCER": "false",
            "PLAINT_KAFKA__SESSION_TIMEOUT_S": "3",
            "PLAINT_KAFKA__HEARTBEAT_S": "1",
            "PLAINT_CLASSIFY__MODELS": str(store.folder),
            "PLAINT_MONITORING__PORT": str(port),
            "PLAINT_RUNTIME_DIR": os.environ["PLAINT_RUNTIME_DIR"],
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [PLAINT, "run", "classify"],
                stderr=log,
                cwd=folder,
                env=environment(own),
                preexec_fn=die_with_parent,
            )
        self._address = f"http://127.0.0.1:{port}"

    def said(self) -> str:
        return self._log.read_text()

    def ask(self, page: str) -> str:
        with urllib.request.urlopen(self._address + page, timeout=60) as answer:
            said: str = answer.read().decode()
        return said

    def wait_for_posts(self, count: int) -> None:
        """Return once it has labelled so many more."""
        until = self.labelled() + count
        self.wait_for(lambda: self.labelled() >= until)

    def wait_for(self, look: Callable[[], object]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not look():
            assert time.monotonic() < deadline, self.said()
            assert self.process.poll() is None, self.said()
            time.sleep(0.02)

    def labelled(self) -> float:
        """How many posts it has labelled so far; 0 until it answers."""
        try:
            found = self.ask("/metrics").splitlines()
        except OSError:
            return 0
        return sum(float(line.split()[-1]) for line in found if line.startswith("plaint_triaged_posts_total{"))


def test_a_worker_changes_its_model_and_back_while_posts_flow_and_none_is_lost_or_labelled_twice(
    new_tansu: str, store: Store, tmp_path: Path
) -> None:
    kafka = KafkaSettings(brokers=(new_tansu,), idempotent_producer=False)
    ensure_topics(kafka, [], only=[topics.POSTS, topics.TRIAGED, topics.DEAD_LETTERS])
    worker, feed = Worker(new_tansu, store, tmp_path), Feed(new_tansu)
    feed.start()
    try:
        worker.wait_for_posts(40)
        store.use(SECOND)
        done = CliRunner().invoke(reload_)
        assert done.exit_code == 0, done.output
        assert f": model {SECOND} ({store.folder / SECOND}) from now on, was {FIRST}" in done.output
        assert 'plaint_model_info{engine="onnxruntime' in worker.ask("/metrics")
        assert f'version="{SECOND}"' in worker.ask("/metrics")
        worker.wait_for_posts(40)

        store.use("damaged")
        done = CliRunner().invoke(reload_, ["--json"])
        assert done.exit_code == 1, done.output
        assert "has sha256" in done.output
        assert f"the model that is chosen was refused, {SECOND} stays in use" in done.output
        (told,) = json.loads(done.output.splitlines()[-1])
        assert (told["what"], told["version"], len(told["faults"])) == ("model", SECOND, 1)
        assert 'plaint_reload_refused{stage="classify"} 1.0' in worker.ask("/metrics")
        assert json.loads(worker.ask("/state"))["model"]["refused"] == told["faults"]
        worker.wait_for_posts(40)

        store.rollback()
        store.rollback()
        worker.process.send_signal(signal.SIGHUP)
        worker.wait_for(lambda: f"from now on, was {SECOND}" in worker.said())
        worker.wait_for_posts(40)
        feed.end()
        worker.wait_for(lambda: worker.labelled() >= feed.count)
        worker.process.terminate()
        triaged = records(new_tansu, topics.TRIAGED, feed.count)
        code = worker.process.wait(LIMIT_S)
    finally:
        feed.end()
        worker.process.kill()
        worker.process.wait()
    assert code == 0, worker.said()
    assert "Traceback" not in worker.said()
    found = [(record.partition, Triage.from_bytes(record.value)) for record in triaged]
    assert sorted(triage.post.id for _, triage in found) == sorted(f"x:{number}" for number in range(feed.count))
    for partition in {partition for partition, _ in found}:
        versions = [triage.model_version for place, triage in found if place == partition]
        assert [version for version, _ in groupby(versions)] == [FIRST, SECOND, FIRST]
