"""What ``plaint up`` is to run: the settings, an inbox where no destination is, a door, and the processes that come of it."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_urlsafe

from pydantic import SecretStr

from ingest.http.listening import HANDED_OVER, CannotListen, bind_for, url
from ingest.http.settings import DEFAULT_PORT as DEFAULT_DOOR_PORT
from plaint.broker.process import Broker, free_port, is_free
from plaint.inbox.settings import DEFAULT_PORT, QUEUES
from plaint.local.supervisor import Child, python_module
from plaint.monitoring.gather import child_settings
from plaint.settings import Settings
from route.destinations.settings import DestinationSettings
from schemas.topics import DELIVER

PORT_TRIES = 3
"""A port that was free may be taken when it is asked for."""
INBOX_CONCURRENCY = 128
"""Requests under way at once to the inbox, which is not a stranger's server: the more there are, the more tickets share a
write of the delivery log (a quarter less CPU for deliver and broker than with a destination's 32)."""


@dataclass(frozen=True)
class Plan:
    """What is to run. ``inbox`` is its address where it stands in for the destinations in ``queues``.

    ``door`` is the address where posts can be sent, empty where there is none; a door that asks for a proof takes
    ``settings.door.token``. ``folder`` is the run's own, gone with it. ``sockets`` are the descriptors of those that listen
    already, by the child that they are for.
    """

    settings: Settings
    folder: Path
    inbox: str = ""
    queues: tuple[str, ...] = ()
    door: str = ""
    sockets: Mapping[str, int] = field(default_factory=dict)

    @property
    def destinations(self) -> list[str]:
        """Every destination, the inbox's included."""
        return list(self.settings.destinations)

    @property
    def report(self) -> Path:
        """Where the ingest worker writes what it has read."""
        return self.folder / "read.json"

    @property
    def is_finite(self) -> bool:
        """Whether all sources come to an end."""
        return bool(self.settings.sources) and not any(source.loop for source in self.settings.sources)

    def routed_by(self, file: Path) -> "Plan":
        """The same with this file of routes."""
        route = self.settings.route.model_copy(update={"routes": file})
        return replace(self, settings=self.settings.model_copy(update={"route": route}))

    def on(self, broker: Broker) -> "Plan":
        """The same on a broker that was started for it."""
        return replace(self, settings=self.settings.model_copy(update={"kafka": broker.adapt(self.settings.kafka)}))


def plan(settings: Settings, folder: Path, ends: bool = False) -> Plan:
    """``settings`` with the inbox put in where destinations are missing, and a door unless the run ``ends`` by itself."""
    return _with_door(_with_inbox(settings, folder), ends)


@contextlib.contextmanager
def listening(settings: Settings, folder: Path, ends: bool = False) -> Iterator[Plan]:
    """``plan``, and its inbox and door listen from now on: an address that is told is this run's, whoever starts beside it.

    Raises CannotListen: a child that found its port taken would be started again and again.
    """
    for more in reversed(range(PORT_TRIES)):
        planned = plan(settings, folder, ends)
        with contextlib.ExitStack() as stack:
            try:
                sockets = _sockets(planned, stack)
            except CannotListen:
                if more:
                    continue
                raise
            yield replace(planned, sockets=sockets)
            return


def _sockets(planned: Plan, stack: contextlib.ExitStack) -> dict[str, int]:
    """Those of inbox and door, by the child that they are for; they listen until ``stack`` is left. Raises CannotListen."""
    inbox, door = planned.settings.inbox, planned.settings.door
    found = {}
    if planned.inbox and inbox.port:
        found["inbox"] = stack.enter_context(bind_for("inbox", inbox.host, inbox.port)).fileno()
    if planned.door and door.port:
        found["ingest"] = stack.enter_context(bind_for("door", door.host, door.port)).fileno()
    return found


def _with_door(planned: Plan, ends: bool) -> Plan:
    door = planned.settings.door
    if ends or door.open is False:
        changes: dict[str, object] = {"open": False}
    else:
        changes = {"open": True, "port": _port(door.port, DEFAULT_DOOR_PORT)}
        if door.is_guarded and door.token is None:  # for the form on the inbox's page
            changes["token"] = SecretStr(token_urlsafe(32))
    door = door.model_copy(update=changes)
    settings = planned.settings.model_copy(update={"door": door})
    return replace(planned, settings=settings, door=door.url if door.open else "")


def _port(wanted: int | None, usual: int) -> int:
    return wanted or (usual if wanted is None and is_free(usual) else free_port())


def stood_in(settings: Settings) -> tuple[str, ...]:
    """Destinations that the settings don't have, and for which the inbox of `plaint up` stands in."""
    wanted = QUEUES if settings.route.routes is None or not settings.destinations else ()
    return tuple(name for name in wanted if name not in settings.destinations)


def _with_inbox(settings: Settings, folder: Path) -> Plan:
    queues = stood_in(settings)
    if not queues:
        return Plan(settings, folder)
    inbox = settings.inbox
    port = _port(inbox.port, DEFAULT_PORT)
    address = url(inbox.host, port)
    stand_ins = {
        name: DestinationSettings.model_validate(
            {
                "url": f"{address}/hooks/{name}",
                "secret": inbox.secret.get_secret_value(),
                "allow_private": True,
                "concurrency": INBOX_CONCURRENCY,
            }
        )
        for name in queues
    }
    # With a journal an inbox that is restarted in this run knows what it took.
    shown = inbox.queues if "queues" in inbox.model_fields_set else queues
    kept = {"port": port, "secret": inbox.secret, "journal": inbox.journal or folder / "inbox.journal", "queues": shown}
    changes = {"inbox": inbox.model_copy(update=kept), "destinations": {**stand_ins, **settings.destinations}}
    return Plan(settings.model_copy(update=changes), folder, address, queues)


def children(planned: Plan) -> list[list[Child]]:
    """The processes in the order of the way, which is the order in which they are ended.

    Classify and route end together: what lies between them is in Kafka, and each takes its second or two.
    """
    env = planned.settings.environment() | {"PLAINT_CONFIG": os.devnull}
    stream = any(source.is_stream for source in planned.settings.sources)

    def child(name: str, *arguments: str, once: bool = False, stream: bool = False) -> Child:
        monitoring = child_settings(planned.settings.monitoring, planned.folder, name)
        own = env | {"PLAINT_MONITORING": monitoring.model_dump_json()}
        sockets = (planned.sockets[name],) if name in planned.sockets else ()
        if sockets:
            own[HANDED_OVER] = str(sockets[0])
        return Child(name, python_module("plaint", *arguments), own, once=once, stream=stream, sockets=sockets)

    groups = [
        [child("classify", "run", "classify"), child("route", "run", "route")],
        [child(DELIVER + name, "run", "deliver", "--destination", name) for name in planned.destinations],
    ]
    if planned.settings.sources or planned.door:
        once = not planned.door
        reading = child("ingest", "run", "ingest", "--report", str(planned.report), once=once, stream=stream)
        groups.insert(0, [reading])
    if planned.inbox:
        groups.append([child("inbox", "inbox")])
    return groups
