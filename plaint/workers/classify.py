"""The classify worker: plaint.posts → plaint.triaged."""

import threading
from collections.abc import Sequence
from typing import NoReturn, Protocol

from classify.meant import as_meant
from classify.settings import ClassifySettings
from classify.text import is_blank
from plaint.kafka.publisher import OutRecord
from plaint.kafka.settings import KafkaSettings
from plaint.monitoring.monitor import Monitor
from plaint.reloading.hangup import Hangup, reload_on_hangup
from plaint.reloading.hot_model import SOUND, WorkerModel
from plaint.workers.batches import stage_thread
from plaint.workers.faust_worker import run_stage
from plaint.workers.seen import Seen, superseded
from plaint.workers.stage import Dropped, InRecord, Outcome, Result, Stretch, decoded
from schemas import topics
from schemas.post import Post
from schemas.reasons import DropReason
from schemas.triage import Triage

CANARY = InRecord(topics.POSTS, 0, -1, b"canary", SOUND.to_bytes(), 0.0)


class Triages(Protocol):
    """What the stage needs of a classifier."""

    def triage(self, posts: Sequence[Post]) -> list[Triage]:
        """The triage of each post, in order."""
        ...


class ClassifyStage:
    """Decodes, drops what needs no triage, classifies the rest in one batch."""

    name = "classify"
    input_topic = topics.POSTS

    def __init__(self, classifier: Triages, remember: int) -> None:
        self._classifier = classifier
        self._seen = Seen(remember)
        self._batch: list[Post] = []

    def process(self, records: Sequence[InRecord]) -> list[Outcome]:
        """See Stage."""
        found = [decoded(self.name, record, Post.from_bytes) for record in records]
        passed: dict[int, Post] = {}
        newest = dict[str, int]()
        outcomes: list[Outcome | None] = []
        for index, post in enumerate(found):
            if not isinstance(post, Post):
                outcomes.append(post)
                continue
            post = as_meant(post, records[index].timestamp)
            drop = self._drop(post, newest)
            outcomes.append(drop)
            if drop is None:
                passed[index] = post
                newest[post.id] = post.revision
        for index, triage in zip(passed, self._classifier.triage(list(passed.values())), strict=True):
            key = triage.post.id.encode()
            outcomes[index] = Result((OutRecord(topics.TRIAGED, records[index].partition, key, triage.to_bytes()),))
        self._batch = list(passed.values())
        return [outcome for outcome in outcomes if outcome is not None]

    def took(self, records: Sequence[InRecord]) -> None:
        """See Stage."""
        self._seen.add(self._batch)

    def _drop(self, post: Post, newest: dict[str, int]) -> Dropped | None:
        old = superseded(post, newest.get(post.id)) or self._seen.drop(post)
        if old is None and post.event == "create" and is_blank(post.text):
            return Dropped(DropReason.EMPTY_TEXT)
        return old

    def unknown(self, records: Sequence[InRecord]) -> list[Stretch]:
        """See Stage: what a restarted worker doesn't know is triaged again, and the router takes the first triage."""
        return []

    def remember(self, records: Sequence[InRecord]) -> None:
        """See Stage."""


def classify(
    kafka: KafkaSettings, settings: ClassifySettings, monitor: Monitor, instance: str | None = None
) -> NoReturn:
    """Run the classify worker in this process until it is told to end. SIGHUP has it load the model that is chosen then."""
    model: WorkerModel | None = None
    loaded = threading.Event()

    def reload() -> None:
        loaded.wait()  # one that is asked for while the first is being loaded
        assert model is not None
        model.reload()

    reload_on_hangup(Hangup(), reload)
    thread = stage_thread(ClassifyStage.name)
    model = WorkerModel(settings, thread.submit)
    monitor.needs.met("model")
    monitor.show(model.meter)
    stage = ClassifyStage(model.meter, settings.remember)
    loaded.set()
    model.announce()
    try:
        run_stage(
            kafka,
            stage,
            CANARY,
            batch=settings.batch,
            linger_s=settings.linger_s,
            instance=instance,
            monitor=monitor,
            thread=thread,
        )
    finally:
        model.end()
