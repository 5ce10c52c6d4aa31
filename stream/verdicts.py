"""Decisions: from advice and a forecast to pending records, and from a turn and its pending record to its verdict.
Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct as Packing
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from ensemble.forecaster import Forecast, Forecaster
from ensemble.policy import CLASSES, Policy
from ensemble.sampling import ask_probabilities
from experts.base import OK, SHADOW, STATUS_NAMES, Advice, Scores, Statuses
from experts.taxonomy import RISKS
from stream.asking import is_asked
from stream.records import Opinion, Source, Turn, Verdict
from stream.state import SCHEMA_VERSION, Pending, context_of

SCALE = 1e9
"""Scores are rounded to nine decimals, at which a float32 of at least 0.1 is still told from its neighbours; without
rounding its JSON is twice as long."""
CATEGORY_FLOOR = 0.1
"""A risk scored below this is left out of a verdict: of such claims, nine of ten would be wrong."""
MOST_CATEGORIES = 5
"""The highest of them are kept, so that a pending record grows by 230 bytes at most."""
_json = msgspec.json.Encoder()


class Arrival(Struct, frozen=True, gc=False):
    """A turn as it came: where it stands, when the broker had it (ms since 1970), and the digest of its text."""

    turn: Turn
    partition: int
    offset: int
    timestamp_ms: int
    digest: bytes


def decide(
    arrivals: Sequence[Arrival],
    rows: Sequence[int],
    advice: Advice,
    experts: tuple[str, ...],
    forecaster: Forecaster,
    policy: Policy,
    now_ms: int,
) -> Iterator[Pending]:
    """The pending record of each of N arrivals of one context; `rows[i]` is the row of `advice` with what the experts
    said of `arrivals[i]`. Those of `experts` that the forecaster does not weigh are shadows."""
    index = np.asarray(rows, dtype=np.intp)
    scores, status = advice.scores[index], advice.status[index]
    forecast, status = _forecast(scores, status, experts, forecaster)
    labels = policy.decide_many(forecast.published)
    context = context_of(arrivals[0].turn.tenant, arrivals[0].turn.role)
    columns = (
        labels.tolist(),
        forecast.published.tolist(),
        forecast.decided.tolist(),
        _rows(scores, "<f4"),
        _rows(status, "u1"),
        _rows(forecast.weights, "<f4"),
        _rows(forecast.forecasts, "<f8"),
        categories_of(advice, index),
        ask_probabilities(policy, scores, status == OK, forecast).tolist(),
    )
    rounds, used = forecaster.rounds, forecaster.used
    for arrival, label, score, decided, advised, slept, weights, forecasts, risks, ask in zip(
        arrivals, *columns, strict=True
    ):
        yield Pending(
            SCHEMA_VERSION, now_ms, arrival.digest, arrival.partition, arrival.offset,
            max(0, now_ms - arrival.timestamp_ms), context, policy.name, label,
            experts, advised, slept, weights, forecasts, score if decided else None, rounds, used, risks, ask, {},
            ask >= 1.0 or is_asked(arrival.turn.tenant, arrival.turn.turn_id, arrival.offset, ask),
        )  # fmt: skip


def _forecast(
    scores: Scores, status: Statuses, experts: tuple[str, ...], forecaster: Forecaster
) -> tuple[Forecast, Statuses]:
    """What those who vote forecast, with weights[N, K] of all, 0 for a shadow; and the statuses, with shadows told."""
    if forecaster.experts == experts:
        return forecaster.forecast(scores, status == OK), status
    voting = [experts.index(expert) for expert in forecaster.experts]
    forecast = forecaster.forecast(scores[:, voting], status[:, voting] == OK)
    weights = np.zeros(scores.shape)
    weights[:, voting] = forecast.weights
    beside = np.ones(len(experts), np.bool_)
    beside[voting] = False
    return replace(forecast, weights=weights), np.where((status == OK) & beside, SHADOW, status).astype(np.uint8)


def categories_of(advice: Advice, rows: npt.NDArray[np.intp]) -> list[dict[str, float]]:
    """Risk to score of each of these rows of the advice, highest first: those of at least CATEGORY_FLOOR, at most
    MOST_CATEGORIES, rounded to four decimals."""
    if advice.risks is None:
        return [{} for _ in rows]
    risks = advice.risks[rows]
    likely = np.asarray((risks >= CATEGORY_FLOOR).any(axis=1))  # nan, no opinion, is not
    return [_highest(row) if some else {} for row, some in zip(risks, likely.tolist(), strict=True)]


def _highest(risks: npt.NDArray[np.float32]) -> dict[str, float]:
    scored = [(risk, score) for risk, score in zip(RISKS, risks.tolist(), strict=True) if score >= CATEGORY_FLOOR]
    scored.sort(key=lambda pair: -pair[1])  # equal ones stay in the order of the taxonomy
    return {risk: round(score, 4) for risk, score in scored[:MOST_CATEGORIES]}


def _rows(array: npt.NDArray[np.generic], dtype: str) -> list[bytes]:
    """Each row's bytes: one object where all rows are alike, as weights and statuses are while everybody is awake."""
    table = np.ascontiguousarray(array, dtype=dtype)
    width, whole = table.itemsize * table.shape[1], table.tobytes()
    first = whole[:width]
    if whole == first * len(table):
        return [first] * len(table)
    return [whole[i : i + width] for i in range(0, len(whole), width)]


def verdict(turn: Turn, pending: Pending, topic: str) -> Verdict:
    """A pure function of a turn and its pending record: published again, it is the same bit for bit."""
    names, floats, weights = _panel(pending.experts, pending.weights)
    opinions = tuple(
        [
            Opinion(name, version, _rounded(score) if code in (OK, SHADOW) else None, weight, STATUS_NAMES[code])
            for (name, version), score, weight, code in zip(
                names, floats.unpack(pending.scores), weights, pending.status, strict=True
            )
        ]
    )
    return _verdict(turn, pending, topic, opinions)


def verdict_lines(known: Sequence[tuple[Turn, Pending]], topic: str) -> list[bytes]:
    """The JSON of each turn's verdict: byte for byte what `encode(verdict(turn, pending, topic))` gives, at half of its
    time. All scores are rounded and encoded in one go, and go into a template of the opinions that many turns share."""
    scores, first, lines = _json_of([pending.scores for _, pending in known]), 0, []
    for turn, pending in known:
        last = first + len(pending.experts)
        opinions = _opinions(pending.experts, pending.weights, pending.status) % tuple(scores[first:last])
        lines.append(_json.encode(_verdict(turn, pending, topic, msgspec.Raw(opinions.encode()))))
        first = last
    return lines


def _verdict(turn: Turn, pending: Pending, topic: str, opinions: Any) -> Verdict:
    return Verdict(
        turn.turn_id, turn.conversation_id, turn.tenant, turn.role,
        CLASSES[pending.label], pending.published, pending.policy, pending.categories, opinions,
        pending.context, pending.rounds, Source(topic, pending.partition, pending.offset),
        _instant(pending.scored_at_ms), pending.latency_ms, turn.metadata,
        pending.asked, pending.ask,
    )  # fmt: skip


def _json_of(rows: list[bytes]) -> list[str]:
    """The scores of all experts for all turns, one after the other, rounded as in `verdict`."""
    scores = np.frombuffer(b"".join(rows), "<f4").astype(np.float64)
    rounded = np.rint(scores * SCALE) / SCALE + 0.0  # -0.0 becomes 0.0, as it does there
    return _json.encode(rounded.tolist())[1:-1].decode().split(",")


@lru_cache(maxsize=4096)
def _opinions(experts: tuple[str, ...], weights: bytes, status: bytes) -> str:
    """What experts say, in JSON with a %s for each score; that of one that slept takes no place."""
    names, _, weighed = _panel(experts, weights)
    opinions = []
    for (name, version), weight, code in zip(names, weighed, status, strict=True):
        opinion = _json.encode(Opinion(name, version, None, weight, STATUS_NAMES[code])).decode().replace("%", "%%")
        score = "%s" if code in (OK, SHADOW) else "null%.0s"
        opinions.append(opinion.replace('"score":null', f'"score":{score}', 1))
    return f"[{','.join(opinions)}]"


def _rounded(score: float) -> float:
    """As `round(score, 9)` would but for the last bit, at a quarter of its time."""
    return round(score * SCALE) / SCALE


@lru_cache(maxsize=256)
def _panel(experts: tuple[str, ...], weights: bytes) -> tuple[tuple[tuple[str, str], ...], Packing, tuple[float, ...]]:
    """Names and versions, how to read the scores, and the weights: the same for many turns in a row."""
    names = tuple((name, version) for name, _, version in (expert.rpartition("@") for expert in experts))
    floats = Packing(f"<{len(experts)}f")
    return names, floats, tuple(_rounded(weight) for weight in floats.unpack(weights))


@lru_cache(maxsize=256)
def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
