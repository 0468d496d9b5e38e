"""The route worker: plaint.triaged → plaint.tickets.<destination>."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from plaint.kafka.publisher import OutRecord
from plaint.kafka.settings import KafkaSettings
from plaint.leftovers import warn_of_strangers
from plaint.monitoring.monitor import Monitor
from plaint.monitoring.routing import RouteSight
from plaint.reloading.hangup import Hangup, reload_on_hangup
from plaint.reloading.hot_routes import WorkerRoutes
from plaint.workers.faust_worker import run_stage
from plaint.workers.seen import Seen, superseded
from plaint.workers.stage import Dropped, InRecord, Outcome, Result, Stretch, decoded
from route.rules import RouteTable
from route.settings import RouteSettings
from route.tickets import tickets_for
from schemas import topics
from schemas.post import Post
from schemas.reasons import DropReason
from schemas.ticket import Ticket, ticket_partition
from schemas.triage import MAX_TRIAGE_BYTES, Triage

_SOUND = Triage(post=Post(id="canary", text="My order has not arrived."), triaged_at=datetime.now(UTC))
CANARY = InRecord(topics.TRIAGED, 0, -1, b"canary", _SOUND.to_bytes(), 0.0)


class RouteStage:
    """Decodes, matches the rules, writes a ticket for each destination.

    The first triage of a revision wins. After a crash, or from a worker that was thought dead, a post may be triaged a
    second time, and a model may then waver: a second intent would make a second ticket at another destination. So the
    tickets of a record hang on what stands before it on its partition: a worker that takes over reads that again, up to
    ``remember`` records, and every worker comes to the same tickets.

    A batch is routed by one table: another one is taken up between two of them.
    """

    name = "route"
    input_topic = topics.TRIAGED

    def __init__(self, table: RouteTable, partitions: int, remember: int) -> None:
        self._table = self._newest = table
        self._partitions = partitions
        self._remember = remember
        self._seen: defaultdict[int, Seen] = defaultdict(lambda: Seen(remember))
        self._next: dict[int, int] = {}
        self._batch: list[tuple[int, Post]] = []
        self._unrouted: Counter[tuple[str, str]] = Counter()
        self._tickets: Counter[str] = Counter()
        self.unrouted: Counter[tuple[str, str]] = Counter()
        """Posts that no rule sends anywhere, by intent and author: own or other."""
        self.tickets: Counter[str] = Counter()
        """Tickets by destination."""

    def use(self, table: RouteTable) -> None:
        """Route by this table from the next batch on. Any thread may call it."""
        self._newest = table

    def unknown(self, records: Sequence[InRecord]) -> list[Stretch]:
        """See Stage: from where this worker's knowledge of the partition ends to its first record here."""
        self._table = self._newest  # it is asked at the beginning of each batch
        first: dict[int, int] = {}
        for record in records:
            first.setdefault(record.partition, record.offset)
        starts = {
            number: max(self._next.get(number, 0), offset - self._remember, 0) for number, offset in first.items()
        }
        return [Stretch(number, starts[number], offset) for number, offset in first.items() if starts[number] < offset]

    def remember(self, records: Sequence[InRecord]) -> None:
        """See Stage."""
        for record in records:
            triage = decoded(self.name, record, Triage.from_bytes, MAX_TRIAGE_BYTES)
            if isinstance(triage, Triage):
                self._seen[record.partition].add([triage.post])

    def process(self, records: Sequence[InRecord]) -> list[Outcome]:
        """See Stage."""
        self._batch = []
        self._unrouted, self._tickets = Counter(), Counter()
        newest: dict[str, int] = {}
        return [self._outcome(record, newest) for record in records]

    def took(self, records: Sequence[InRecord]) -> None:
        """See Stage."""
        for partition, post in self._batch:
            self._seen[partition].add([post])
        for record in records:
            self._next[record.partition] = record.offset + 1
        self.unrouted.update(self._unrouted)
        self.tickets.update(self._tickets)

    def _outcome(self, record: InRecord, newest: dict[str, int]) -> Outcome:
        triage = decoded(self.name, record, Triage.from_bytes, MAX_TRIAGE_BYTES)
        if not isinstance(triage, Triage):
            return triage
        post = triage.post
        known = newest.get(post.id, self._seen[record.partition].newest(post.id))
        drop = superseded(post, known)
        # A replayed one stands on the partition once already: with a worker that has read it since it seems dealt with.
        if drop is not None and not (record.is_replay and drop.reason is DropReason.REPEATED):
            return drop
        tickets, reason = tickets_for(triage, self._table, is_later=known is not None and known < post.revision)
        newest[post.id] = post.revision
        self._batch.append((record.partition, post))
        if reason is DropReason.UNROUTED:
            self._unrouted[triage.intent or "none", "own" if post.author.own_account else "other"] += 1
        return Dropped(reason) if reason is not None else Result(tuple(map(self._record, tickets)))

    def _record(self, ticket: Ticket) -> OutRecord:
        self._tickets[ticket.destination] += 1
        partition = ticket_partition(ticket.key, self._partitions)
        return OutRecord(topics.tickets(ticket.destination), partition, ticket.key.encode(), ticket.to_bytes())


def route(
    kafka: KafkaSettings,
    settings: RouteSettings,
    destinations: Sequence[str],
    monitor: Monitor,
    instance: str | None = None,
) -> NoReturn:
    """Run the route worker in this process until it is told to end. SIGHUP has it read the routes again."""
    hangup = Hangup()
    routes = WorkerRoutes(kafka, settings.routes, destinations)
    stage = RouteStage(routes.table, kafka.partitions, settings.remember)
    monitor.needs.met("routes")
    monitor.show(RouteSight(destinations, stage.tickets, stage.unrouted, routes.state))
    reload_on_hangup(hangup, lambda: routes.reload(stage.use))
    warn_of_strangers(kafka, destinations, settings.abandoned)
    routes.announce()
    try:
        run_stage(kafka, stage, CANARY, batch=512, linger_s=0.05, instance=instance, monitor=monitor)
    finally:
        routes.retract()
