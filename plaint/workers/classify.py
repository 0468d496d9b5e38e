"""The classify worker: plaint.posts → plaint.triaged."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NoReturn

from classify.batch import Classifier
from classify.settings import ClassifySettings
from classify.text import is_blank
from models.engine import Engine
from plaint.kafka.publisher import OutRecord
from plaint.kafka.settings import KafkaSettings
from plaint.workers.faust_worker import run_stage
from plaint.workers.stage import Dropped, InRecord, Outcome, Result, decoded
from schemas import topics
from schemas.post import Post
from schemas.reasons import DropReason

CANARY = InRecord(topics.POSTS, 0, -1, b"canary", Post(id="canary", text="My order has not arrived.").to_bytes(), 0.0)


class Seen:
    """The newest revision of the last posts whose triage is written, so that one that comes again costs nothing.

    What it forgets, or a worker that was restarted doesn't know, is triaged again to the same ticket: delivery drops it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._revisions: OrderedDict[str, int] = OrderedDict()

    def drop(self, post: Post) -> Dropped | None:
        """Why this post needs no triage, if it doesn't."""
        known = self._revisions.get(post.id)
        if known is None or post.revision > known:
            return None
        return Dropped(DropReason.REPEATED if post.revision == known else DropReason.STALE_REVISION)

    def add(self, post: Post) -> None:
        """Remember a post whose triage is acknowledged."""
        self._revisions[post.id] = max(post.revision, self._revisions.pop(post.id, 0))
        while len(self._revisions) > self._size:
            self._revisions.popitem(last=False)


class ClassifyStage:
    """Decodes, drops what needs no triage, classifies the rest in one batch."""

    name = "classify"
    input_topic = topics.POSTS

    def __init__(self, classifier: Classifier, remember: int) -> None:
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

    def published(self, records: Sequence[InRecord]) -> None:
        """See Stage."""
        for post in self._batch:
            self._seen.add(post)

    def _drop(self, post: Post, newest: dict[str, int]) -> Dropped | None:
        if post.event != "delete" and is_blank(post.text):
            return Dropped(DropReason.EMPTY_TEXT)
        if newest.get(post.id, -1) >= post.revision:  # earlier in this batch
            return Dropped(DropReason.REPEATED if newest[post.id] == post.revision else DropReason.STALE_REVISION)
        return self._seen.drop(post)


def classify(kafka: KafkaSettings, settings: ClassifySettings, instance: str | None = None) -> NoReturn:
    """Run the classify worker in this process until it is told to end."""
    classifier = Classifier(Engine.load(settings.model, settings.threads), settings.unsure_below)
    stage = ClassifyStage(classifier, settings.remember)
    run_stage(kafka, stage, CANARY, batch=settings.batch, linger_s=settings.linger_s, instance=instance)
