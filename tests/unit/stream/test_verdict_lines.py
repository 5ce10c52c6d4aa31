"""The JSON of a batch of verdicts is, byte for byte, that of each verdict: a turn seen again must tell the same."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experts.base import OK, SHADOW, STATUS_NAMES
from stream import state
from stream.codecs import encode
from stream.records import Turn
from stream.state import Pending
from stream.verdicts import verdict, verdict_lines

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="@"), min_size=1, max_size=6)
IDS = st.one_of(NAMES, st.sampled_from(['"score":null', "%s", "%", "a\nb", '\\"score\\":null%.0s', "\u2028"]))
STATUS = st.sampled_from(range(len(STATUS_NAMES)))
SCORES = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, -0.0, 1.0, 2.0**-149, 2.0**-30]))


@st.composite
def pendings(draw: st.DrawFn) -> Pending:
    names = draw(st.lists(IDS, min_size=1, max_size=4))
    status = [draw(STATUS) for _ in names]
    scores = [draw(SCORES) if code in (OK, SHADOW) else float("nan") for code in status]
    weights = [draw(st.floats(0, 1, width=32)) for _ in names]
    return Pending(
        state.SCHEMA_VERSION,
        draw(st.integers(0, 4_000_000_000_000)),
        b"\0" * 16,
        draw(st.integers(0, 99)),
        draw(st.integers(0, 2**62)),
        draw(st.integers(0, 2**40)),
        draw(IDS),
        draw(IDS),
        draw(st.integers(0, 2)),
        tuple(f"{name}@{draw(IDS).replace('@', '')}" for name in names),
        np.array(scores, "<f4").tobytes(),
        bytes(status),
        np.array(weights, "<f4").tobytes(),
        b"",
        draw(st.none() | st.floats(0, 1)),
        draw(st.integers(0, 2**40)),
        0.0,
        draw(st.dictionaries(IDS, st.floats(0, 1), max_size=2)),
        draw(st.floats(0, 1)),
        {},
        draw(st.booleans()),
    )


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    metadata = draw(st.dictionaries(IDS, IDS, max_size=2))
    return Turn(draw(IDS), draw(IDS), draw(st.sampled_from(["user", "assistant"])), "x", at, draw(IDS), (), metadata)


@given(st.lists(st.tuples(turns(), pendings()), max_size=4), IDS)
def test_a_batch_tells_each_verdict_byte_for_byte(known: list[tuple[Turn, Pending]], topic: str) -> None:
    assert verdict_lines(known, topic) == [encode(verdict(turn, pending, topic)) for turn, pending in known]
