"""How often Python looks for garbage cycles in a process that runs for long."""

import gc

YOUNG = 20_000
"""Containers made, less those gone, until the youngest are looked through; Python's own 700 cost a deliver worker a tenth of
its time."""


def settle_heap() -> None:
    """Leave all that is there now (modules, models, settings) out of every later look. Call it when all is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)
