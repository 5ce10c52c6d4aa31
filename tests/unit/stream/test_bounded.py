"""What was used last is kept, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from ensemble import zero
from stream.bounded import Bounded, bytes_of
from support.rounds import PANEL

steps = st.lists(st.tuples(st.sampled_from(["put", "get", "pop"]), st.integers(0, 5), st.integers(1, 9)), max_size=40)


@given(steps, st.integers(1, 20))
def test_it_holds_what_was_used_last_and_no_more_than_its_limit(came: list[tuple[str, int, int]], limit: int) -> None:
    kept: Bounded[int, int] = Bounded(limit, int)
    wanted: OrderedDict[int, int] = OrderedDict()
    for what, key, size in came:
        if what == "put":
            kept[key] = size
            wanted.pop(key, None)
            wanted[key] = size
            while sum(wanted.values()) > limit and len(wanted) > 1:
                wanted.popitem(last=False)
        elif what == "get":
            assert kept.get(key) == wanted.get(key)
            if key in wanted:
                wanted.move_to_end(key)
        else:
            kept.pop(key)
            wanted.pop(key, None)
        assert (len(kept), kept.size) == (len(wanted), sum(wanted.values()))
        assert all(key in kept for key in wanted)


def test_what_was_put_last_stays_even_if_it_is_larger_than_the_limit() -> None:
    kept: Bounded[str, int] = Bounded(10, int)
    kept["a"], kept["b"] = 4, 100
    assert ("a" in kept, kept.get("b")) == (False, 100)
    kept.clear()
    assert (len(kept), kept.size) == (0, 0)


def test_decoded_moments_are_as_large_as_their_cells_and_a_little_more() -> None:
    cells = 8 * (4 * 5 * 3 * (6 + 6 + 7) + 5 * 18 + 4 * 18 * 2 + 3 + 300)
    assert cells < bytes_of(zero(PANEL)) < cells + 3_000
