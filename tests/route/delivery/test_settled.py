"""Settled keys: a map like any other, only small."""

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from route.delivery import settled as module
from route.delivery.settled import Known, Settled

_keys = st.sampled_from([f"{n:032x}" for n in range(0, 2**127, 2**122)])
_plain = st.just(Known(0, created=True))
_known = _plain | st.builds(Known, st.integers(0, 3) | st.just(2**53), st.booleans(), st.booleans(), st.integers(0, 3))
_steps = st.lists(st.tuples(_keys, st.none() | _known), max_size=60)


@given(_steps, st.integers(1, 5))
@settings(deadline=None)
def test_it_is_a_map_however_often_it_is_packed(steps: list[tuple[str, Known | None]], pack_after: int) -> None:
    before, module._MIN_RECENT = module._MIN_RECENT, pack_after
    try:
        settled, model = Settled(), dict[str, Known]()
        for key, known in steps:
            if known is None:
                settled.forget(key)
                model.pop(key, None)
            else:
                settled.put(key, known)
                model[key] = known
        assert {key: settled.get(key) for key in model} == model
        assert len(settled) == len(model)
        assert all(settled.get(key) is None for key, _ in steps if key not in model)
    finally:
        module._MIN_RECENT = before


def test_a_hundred_thousand_keys_take_less_than_sixteen_bytes_each() -> None:
    settled, step = Settled(), 0x9E3779B97F4A7C15
    for n in range(100_000):
        settled.put(f"{n * step % 2**64:016x}{0:016x}", Known(0, created=True))
    held = sys.getsizeof(settled._sorted) + sys.getsizeof(settled._recent) + 32 * len(settled._recent)
    assert len(settled) == 100_000
    assert held < 16 * 100_000
