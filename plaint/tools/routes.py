"""The routes by which posts go here."""

from collections.abc import Collection

from plaint.settings import Settings
from route.rules import RouteTable
from route.yamlfile import FileInvalid


def table_at_hand(settings: Settings, destinations: Collection[str]) -> RouteTable | None:
    """The routes that the settings name, or the shipped ones; None if they have faults, which are check-config's to tell."""
    try:
        return RouteTable.load(settings.route.routes, destinations)
    except FileInvalid:
        return None
