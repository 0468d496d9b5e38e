"""From the settings of a destination to the destination."""

from collections.abc import Callable

from route.destinations.base import Destination
from route.destinations.settings import DestinationSettings
from route.destinations.webhook import Webhook

DESTINATIONS: dict[str, Callable[[DestinationSettings, Callable[[], float]], Destination]] = {"webhook": Webhook}
"""Every type that the settings may name."""


def open_destination(settings: DestinationSettings, now: Callable[[], float]) -> Destination:
    """The destination that the settings describe, inside a running event loop; ``now`` is seconds since the epoch.

    Raises ValueError or OSError if its secret can't be read.
    """
    return DESTINATIONS[settings.type](settings, now)
