"""What route tells beside its batches: tickets by destination, and what no rule takes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plaint.monitoring import metrics
from plaint.monitoring.readings import Readings
from plaint.monitoring.state import RoutesState


class RouteSight:
    """Tells of the router's counts, which are counted elsewhere."""

    def __init__(
        self,
        destinations: Sequence[str],
        tickets: Mapping[str, int],
        unrouted: Mapping[tuple[str, str], int],
        routes: Callable[[], RoutesState],
    ) -> None:
        self._tickets = dict.fromkeys(destinations, 0)
        self._counted = tickets
        self._unrouted = unrouted
        self._routes = routes

    def read(self, into: Readings) -> None:
        """See Sight."""
        into.put_all(metrics.TICKETS, self._tickets | dict(self._counted))
        for labels, count in list(self._unrouted.items()):
            into.put(metrics.UNROUTED, count, *labels)
        routes = self._routes()
        into.put(metrics.ROUTES, 1, routes.version)
        into.put(metrics.REFUSED, bool(routes.refused))

    def state(self) -> dict[str, Any]:
        """See Sight."""
        return {"routes": self._routes()}
