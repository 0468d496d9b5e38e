"""The deliver worker: plaint.tickets.<destination> → the destination, remembered in plaint.deliveries.<destination>."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable

from plaint.kafka.settings import KafkaSettings
from plaint.masking import hide_secret
from plaint.monitoring.delivering import DeliverSight, DeliveryMeter, metered
from plaint.monitoring.monitor import Monitor
from plaint.workers.delivering.lease import LOG_WRITE_S
from plaint.workers.delivering.worker import DeliverWorker
from plaint.workers.last_moment import STOP_S, end_within, fatal
from route.delivery.clock import SystemClock
from route.destinations.base import Destination
from route.destinations.opening import open_destination
from route.destinations.settings import DestinationSettings


async def deliver(
    kafka: KafkaSettings,
    name: str,
    destination: DestinationSettings,
    monitor: Monitor,
    instance: str | None = None,
) -> None:
    """Deliver the tickets of destination ``name`` until SIGTERM or SIGINT; then finish what is under way and return.

    Requests that have begun end or time out. If Kafka has not taken what came of them STOP_S after the signal (or after
    the longest request and the write of its outcome), the process ends with code 70.

    The secret file is read again when it changes, at the latest on SIGHUP.

    ``instance`` makes it a static member of its group: unique among the running processes of this destination, the same
    after a restart. Its topics must exist. Ends the process with code 70 if Kafka does not take a record of the log.

    Raises ValueError or OSError if the settings can't be used, KafkaConnectionError if no broker answers.
    """
    stop = asyncio.Event()

    def end() -> None:
        end_within(max(STOP_S, destination.timeout_s + LOG_WRITE_S))
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):  # before the consumer starts: it may wait long for its group
        asyncio.get_running_loop().add_signal_handler(number, end)
    for secret in destination.login_secrets():  # it may be from a file
        hide_secret(secret)
    meter = DeliveryMeter()
    opened = metered(open_destination(destination, SystemClock().wall), meter)
    try:
        worker = deliver_worker(kafka, name, destination, opened, instance)
        _show(monitor, kafka, DeliverSight(name, worker, meter, monitor.ends))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, worker.refresh)
        await worker.run(stop)
    finally:
        await opened.close()


def _show(monitor: Monitor, kafka: KafkaSettings, sight: DeliverSight) -> None:
    """Let the monitor tell of the worker, and its watchdog look at it."""
    monitor.needs.ask("group", sight.in_group)
    monitor.show(sight)
    monitor.watch(kafka, sight)


def deliver_worker(
    kafka: KafkaSettings,
    name: str,
    settings: DestinationSettings,
    destination: Destination,
    instance: str | None = None,
    fatal: Callable[[BaseException], object] = fatal,
) -> DeliverWorker:
    """The worker that these settings describe; a request must end within a rebalance, which preflight sees to."""
    worker = instance or f"{socket.gethostname()}-{os.getpid()}"
    return DeliverWorker(kafka, name, settings, destination, SystemClock(), worker, instance, fatal)
