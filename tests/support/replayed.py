"""The oracle's part on the moments: an offline replay of the stored advice, beside what was stored and published."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from ensemble import Moments, Replay, distance, shadow_of, total, zero
from ensemble import decode as decode_moments
from ensemble import encode as encode_moments
from experts.base import OK, SHADOW
from stream import projection, state
from support.decided import importance, learned_in

TOLERANCE: Final = 1e-9
Key = tuple[int, str, str]
"""Partition, tenant, turn id: where a turn is scored."""
Parts = Mapping[tuple[int, str], bytes]
"""Encoded moments by partition and context."""


def compare_moments(
    records: Iterable[Any], stored: Parts, pending: Mapping[Key, state.Pending], learned: Mapping[Key, int | None]
) -> tuple[float, list[str]]:
    """The largest difference between the stored moments and those of an offline replay, and all that is wrong.

    `records`: of `moments.v1`, which must say what the changelog holds; `learned`: the class that each turn must have
    taught."""
    published, problems, worst = _published_moments(records), list[str](), 0.0
    for key in stored.keys() | published.keys():
        if stored.get(key) != published.get(key):
            problems.append(f"moments of {key} differ between the changelog and moments.v1")
    demanded = _replayed(pending, learned)
    pairs = [(f"moments of {key}", _decoded(stored.get(key)), moments) for key, moments in demanded.items()]
    for context in {context for _, context in demanded}:
        parts = [_decoded(value) for (_, name), value in sorted(published.items()) if name == context]
        whole = total(moments for (_, name), moments in sorted(demanded.items()) if name == context)
        pairs.append((f"total moments of {context}", total(parts), whole))
    for what, moments, oracle in pairs:
        off = distance(moments, oracle)
        worst = max(worst, off)
        if not off <= TOLERANCE:
            problems.append(f"{what} are off by {off:.3e} ({moments.rounds} rounds, must be {oracle.rounds})")
    return worst, problems


def _replayed(pending: Mapping[Key, state.Pending], taught: Mapping[Key, int | None]) -> dict[tuple[int, str], Moments]:
    """The moments of each partition and context: the stored advice under the votes that the labels demand."""
    replays: dict[int, Replay] = defaultdict(Replay)
    for key, p in pending.items():
        scores, status = np.frombuffer(p.scores, "<f4"), np.frombuffer(p.status, np.uint8)
        rows = [shadow_of(e) if code == SHADOW else e for e, code in zip(p.experts, status.tolist(), strict=True)]
        awake = (status == OK) | ((status == SHADOW) & (p.published is not None))
        published = np.nan if p.published is None else p.published
        forecasts = np.frombuffer(p.forecasts, "<f8").tolist()
        replay, seconds = replays[key[0]], p.scored_at_ms / 1000
        heard = (rows, scores.tolist(), awake.tolist())
        replay.scored(key, learned_in(p), *heard, forecasts, published, seconds, p.used, importance(p))
        if (learned := taught.get(key)) is not None:
            replay.labelled(key, "all", learned, 0)
    return {(number, name): m for number, replay in replays.items() for name, m in replay.moments().items()}


def _published_moments(records: Iterable[Any]) -> dict[tuple[int, str], bytes]:
    """What a reader of moments.v1 holds: of each partition and context, the part with the highest changelog offset."""
    newest: dict[tuple[int, str], tuple[int, bytes]] = {}
    for record in records:
        if record.key.startswith(projection.PART):
            context = projection.context_of_key(record.key)
            key, (offset, moments) = (record.partition, context), projection.decode_part(record.value)
            if key not in newest or newest[key][0] <= offset:
                newest[key] = (offset, encode_moments(moments))
    return {key: value for key, (_, value) in newest.items()}


def _decoded(value: bytes | None) -> Moments:
    return zero(()) if value is None else decode_moments(value)
