"""The route worker: plaint.triaged → plaint.tickets.<destination>."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from plaint.kafka.publisher import OutRecord
from plaint.kafka.settings import KafkaSettings
from plaint.workers.faust_worker import run_stage
from plaint.workers.stage import Dropped, InRecord, Outcome, Result, decoded
from route.rules import RouteTable
from route.tickets import tickets_for
from schemas import topics
from schemas.post import Post
from schemas.ticket import Ticket, ticket_partition
from schemas.triage import MAX_TRIAGE_BYTES, Triage

_SOUND = Triage(post=Post(id="canary", text="My order has not arrived."), triaged_at=datetime.now(UTC))
CANARY = InRecord(topics.TRIAGED, 0, -1, b"canary", _SOUND.to_bytes(), 0.0)


class RouteStage:
    """Decodes, matches the rules, writes a ticket for each destination."""

    name = "route"
    input_topic = topics.TRIAGED

    def __init__(self, table: RouteTable, partitions: int) -> None:
        self._table = table
        self._partitions = partitions

    def process(self, records: Sequence[InRecord]) -> list[Outcome]:
        """See Stage."""
        return [self._outcome(record) for record in records]

    def published(self, records: Sequence[InRecord]) -> None:
        """See Stage: nothing is remembered."""

    def _outcome(self, record: InRecord) -> Outcome:
        triage = decoded(self.name, record, Triage.from_bytes, MAX_TRIAGE_BYTES)
        if not isinstance(triage, Triage):
            return triage
        tickets, drop = tickets_for(triage, self._table)
        return Dropped(drop) if drop is not None else Result(tuple(map(self._record, tickets)))

    def _record(self, ticket: Ticket) -> OutRecord:
        partition = ticket_partition(ticket.key, self._partitions)
        return OutRecord(topics.tickets(ticket.destination), partition, ticket.key.encode(), ticket.to_bytes())


def route(
    kafka: KafkaSettings, rules: Path | None, destinations: Sequence[str], instance: str | None = None
) -> NoReturn:
    """Run the route worker in this process until it is told to end."""
    stage = RouteStage(RouteTable.load(rules, destinations), kafka.partitions)
    run_stage(kafka, stage, CANARY, batch=512, linger_s=0.05, instance=instance)
