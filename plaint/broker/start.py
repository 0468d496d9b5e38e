"""The one door: the broker that the settings ask for."""

from plaint.broker import kafka_release, tansu
from plaint.broker.process import Broker
from plaint.broker.settings import BrokerSettings


def start_broker(settings: BrokerSettings) -> Broker:
    """Start the broker and return once it answers. Blocks; main thread only, since the broker dies with the thread.

    Raises BrokerFailed with what went wrong and what mends it, or ReleaseUnusable.
    """
    if settings.embedded == "kafka":
        return kafka_release.start(settings)
    return tansu.start(settings.start_timeout_s)
