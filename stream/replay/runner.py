"""One replay: a stream and what to try in, results out."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, Literal, get_args

import msgspec
import numpy as np

from ensemble import Policy, RegretReport
from ensemble.policy import Rule
from ensemble.shadows import shadow_of
from stream import simulation
from stream.evaluation.results import number
from stream.replay.decisions import ChangedTurn, changed_turns, compared
from stream.replay.effect import effects
from stream.replay.results import Candidate, Decile, Delays, Phase, Point, Read, Replay, Run, Standing, Tried
from stream.replay.stream import Stream
from stream.report.charts import reliability_bins
from stream.simulation import UNLABELLED, Kept, Reading, Simulated, simulate

RULES: Final = get_args(Rule)
AS_SET: Final = "as the policies say"
"""The name of a run in which contexts have different rules."""
DECIMALS: Final = 6

PolicyOf = Callable[[str], Policy]
With = Literal["with", "without"] | None
"""Whether a run has the candidate; None where there is none."""


@dataclass(frozen=True, eq=False, slots=True)
class Course:
    """A run with what its figures were made of, for the page."""

    run: Run
    judged: Sequence[tuple[float, bool]]
    """Scores, and whether people called the turn unsafe."""
    changed: Sequence[ChangedTurn] = ()


def replay(stream: Stream, readings: Sequence[Reading], tried: Tried, advance: Callable[[int], None]) -> list[Course]:
    """The stream once for each forecaster; `advance` is told how many turns are done."""
    courses, other = [], stream if tried.candidate is None else stream.without(tried.candidate)
    for rule in tried.forecasters or (None,):
        ruled = [Reading(reading.since, _ruled(reading.policy_of, rule)) for reading in readings]
        said = simulate(stream.turns, stream.changes, ruled, tried.together, advance)
        if tried.candidate is None:
            courses.append(_course(stream, said, None, None))
            continue
        without = simulate(other.turns, other.changes, ruled, tried.together, advance)
        courses += [_course(stream, said, "with", without), _course(other, without, "without", None)]
    return courses


def results(
    stream: Stream, courses: Sequence[Course], tried: Tried, bad: int, candidate: Candidate | None = None
) -> Replay:
    """What is written as JSON."""
    at, learned = stream.turns.at, int((stream.classes != UNLABELLED).sum())
    first, last = (_instant(float(at[0])), _instant(float(at[-1]))) if len(at) else (None, None)
    read = Read(len(at), stream.labels, learned, bad, stream.left_out, first, last)
    runs = tuple(course.run for course in courses)
    if candidate is not None:
        candidate = msgspec.structs.replace(candidate, effects=tuple(effects(runs, candidate.id)))
    return Replay(1, tried, read, _delays(stream), runs, candidate)


def _ruled(policy_of: PolicyOf, rule: str | None) -> PolicyOf:
    if rule is None:
        return policy_of
    return lambda context: replace(policy_of(context), forecaster=rule)  # type: ignore[arg-type]  # of RULES


def _course(stream: Stream, said: Simulated, candidate: With, without: Simulated | None) -> Course:
    """`said.phases` in the order of the most labelled turns."""
    contexts = sorted(said.phases.items(), key=lambda item: (-item[1][-1].kept[-1].moments.rounds, item[0]))
    rules = sorted({phase.policy.forecaster for _, phases in contexts for phase in phases})
    judged = list(_judged(stream, said))
    rows = _rows_of(stream)
    found = tuple(one for context, phases in contexts for one in _phases(stream, rows[context], context, phases))
    deciles = [
        Decile(one.count, _rounded(one.mean_score), _rounded(one.share)) for one in reliability_bins(iter(judged))
    ]
    name = rules[0] if len(rules) == 1 else AS_SET
    beside = [compared("published", stream.decided, said, stream)] if (stream.decided != UNLABELLED).any() else []
    if without is not None:
        beside.append(compared("without", without.labels.astype(np.int8), said, stream))
    changed = [] if candidate == "without" else list(changed_turns(stream, said, without, name))
    return Course(Run(name, found, tuple(deciles), candidate, tuple(beside)), judged, changed)


def _judged(stream: Stream, said: Simulated) -> Iterator[tuple[float, bool]]:
    """Each labelled turn's score, and whether its class is unsafe under the policy that held."""
    published = said.published if stream.turns.published is None else stream.turns.published
    for row in np.flatnonzero((stream.classes != UNLABELLED) & ~np.isnan(published)).tolist():
        phases = said.phases[stream.turns.context[row]]
        policy = next(phase.policy for phase in reversed(phases) if phase.since <= row)
        yield float(published[row]), policy.targets[stream.classes[row]] >= 0.5


def _rows_of(stream: Stream) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, context in enumerate(stream.turns.context):
        rows.setdefault(context, []).append(row)
    return rows


def _phases(stream: Stream, rows: list[int], context: str, phases: Sequence[simulation.Phase]) -> Iterator[Phase]:
    """Those that hold for one of the context's turns (`rows`) or learn from a label."""
    ends = [phase.since for phase in phases[1:]] + [len(stream.turns)]
    for phase, end in zip(phases, ends, strict=True):
        turns = bisect_left(rows, end) - bisect_left(rows, phase.since)
        if turns or phase.kept[0].moments.rounds != phase.kept[-1].moments.rounds:
            yield _phase(context, phase, turns, float(stream.turns.at[0]))


def _phase(context: str, phase: simulation.Phase, turns: int, began: float) -> Phase:
    end = phase.kept[-1]
    told, heard = phase.report(end), phase.heard(end)
    voted = {expert for expert in told.experts if heard[expert] > 0.0}
    # An expert that never advised is no one to compare with: its loss and the regret to it are 0.
    best = max((place for place, name in enumerate(told.experts) if name in voted), default=None, key=_of(told.regret))
    return Phase(
        context=context,
        policy=phase.policy.name,
        since=phase.since,
        turns=turns,
        rounds=told.rounds,
        weighed=_rounded(end.moments.counted - (0.0 if phase.baseline is None else phase.baseline.counted)),
        delay=_rounded(told.delay),
        loss=_rounded(told.loss),
        best=None if best is None else told.experts[best],
        regret=None if best is None else number(float(told.regret[best])),
        bound=None if best is None else number(float(told.bounds[best])),
        ratio=_rounded(told.ratio),
        alarm=told.alarm,
        experts=tuple(_standings(told, phase.weights(end, voted), heard)),
        points=tuple(_points(phase, began, voted)),
    )


def _of(values: simulation.Floats) -> Callable[[int], float]:
    return lambda place: float(values[place])


def _standings(told: RegretReport, weights: dict[str, float], heard: dict[str, float]) -> Iterator[Standing]:
    voted = zip(told.experts, told.losses.tolist(), told.regret.tolist(), told.bounds.tolist(), strict=True)
    for expert, loss, regret, bound in voted:
        weight, count = _rounded(weights[expert]), _rounded(heard[expert])
        yield Standing(expert, count, weight, _rounded(loss), _rounded(regret), number(bound))
    beside = zip(told.shadows, told.shadow_losses.tolist(), told.shadow_regret.tolist(), strict=True)
    for expert, loss, regret in beside:
        count = _rounded(heard[shadow_of(expert)])
        yield Standing(expert, count, 0.0, _rounded(loss), _rounded(regret), None, shadow=True)


def _points(phase: simulation.Phase, began: float, voted: Collection[str]) -> Iterator[Point]:
    """The beginning, the copies on the way, and the end if anything came after the last of them."""
    kept = phase.kept
    yield _point(phase, kept[0], began, voted)
    for before, one in pairwise(kept):
        if one.at > before.at or one.moments is not before.moments:
            yield _point(phase, one, began, voted)


def _point(phase: simulation.Phase, kept: Kept, began: float, voted: Collection[str]) -> Point:
    told, weights = phase.report(kept), phase.weights(kept, voted)
    return Point(
        rounds=told.rounds,
        at=_rounded(kept.at - began),
        weights={expert: _rounded(weights[expert]) for expert in told.experts if expert in voted},
        losses=_by_expert(told, told.losses, voted),
        regret=_by_expert(told, told.regret, voted),
        loss=_rounded(told.loss),
        bound=number(told.bound),
        alarm=told.alarm,
    )


def _by_expert(told: RegretReport, values: simulation.Floats, voted: Collection[str]) -> dict[str, float]:
    every = zip(told.experts, values.tolist(), strict=True)
    return {expert: _rounded(value) for expert, value in every if expert in voted}


def _delays(stream: Stream) -> Delays | None:
    known = np.sort(stream.delays)
    if not len(known):
        return None
    half, most = (float(known[math.ceil(share * len(known)) - 1]) for share in (0.5, 0.9))
    return Delays(_rounded(half), _rounded(most), _rounded(float(known[-1])))


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS) + 0.0  # no negative zero


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
