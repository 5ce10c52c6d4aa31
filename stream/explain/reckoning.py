"""A verdict taken apart: who carried how much of its score, whether that adds up, and why it was labelled so. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from ensemble.policy import Policy
from ensemble.rounds import CLIP
from stream.explain.now import expert_id
from stream.explain.results import ModeNow, Recomputed, Share
from stream.records import LABELS, Opinion, Verdict

DECIMAL: Final = 0.5e-9
"""Scores and weights are written with nine decimals."""
SINGLE: Final = 2.0**-24
"""Weights are recorded as float32: relative."""
MOST_NAMED: Final = 3
"""Experts in the sentence: those that carried most."""


def clip_of(policy: Policy | None) -> float:
    """Scores are mixed within [clip, 1 - clip]."""
    return CLIP if policy is not None and policy.loss == "log" else 0.0


def contribution(opinion: Opinion, weight: float, clip: float) -> float | None:
    """Of the score: weight × score; None of an expert that slept or had no vote."""
    if opinion.score is None or opinion.status != "ok":
        return None
    return weight * _mixed(opinion.score, clip)


def recomputed(verdict: Verdict, clip: float) -> Recomputed:
    """The score from the recorded advice and weights, and whether it is the published one."""
    voted = [one for one in verdict.experts if one.score is not None and one.status == "ok"]
    if verdict.score is None:
        return Recomputed(None, None, None, agrees=not voted)
    scores = [_mixed(one.score or 0.0, clip) for one in voted]
    score = sum(one.weight * said for one, said in zip(voted, scores, strict=True))
    tolerance = sum(
        said * (one.weight * SINGLE + DECIMAL) + one.weight * DECIMAL for one, said in zip(voted, scores, strict=True)
    )
    difference = abs(score - verdict.score)
    return Recomputed(score, difference, tolerance, difference <= tolerance)


def shares(
    verdict: Verdict, clip: float, weights_now: Mapping[str, float], modes: Iterable[ModeNow], clip_now: float
) -> tuple[Share, ...]:
    """Each expert, the one that carried most first; `weights_now` are by id, `modes` in the order of the verdict."""
    rows = [
        _share(one, mode, clip, weights_now.get(expert_id(one), 0.0), clip_now)
        for one, mode in zip(verdict.experts, modes, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: -1.0 if row.contribution is None else row.contribution, reverse=True))


def _share(one: Opinion, mode: ModeNow, clip: float, weight_now: float, clip_now: float) -> Share:
    carried = contribution(one, one.weight, clip)
    carries = None if one.score is None or mode != "votes" else weight_now * _mixed(one.score, clip_now)
    return Share(one.name, one.version, one.status, one.score, one.weight, carried, mode, weight_now, carries)


def why(verdict: Verdict, policy: Policy | None, experts: Sequence[Share]) -> str:
    """One sentence."""
    if verdict.score is None:
        return _nobody(verdict, policy)
    return f"{_cut(verdict, verdict.score, policy)}; {_carried(verdict.score, experts)}"


def _nobody(verdict: Verdict, policy: Policy | None) -> str:
    asleep = ", ".join(f"{one.name}: {one.status}" for one in verdict.experts)
    says = f"fails {policy.fail}" if policy is not None else "says what to do then"
    return f"no expert that votes was awake ({asleep}), and policy {verdict.policy} {says}: {verdict.label}"


def _cut(verdict: Verdict, score: float, policy: Policy | None) -> str:
    said = f"the score {score:.4f}"
    if policy is None:
        return f"{said} was decided {verdict.label} by policy {verdict.policy}, which the settings here do not know"
    if policy.thresholds != "fixed":
        how = f"labels set the thresholds of policy {policy.name}, and those of then are not recorded"
        return f"{said} was decided {verdict.label}: {how}"
    if LABELS[policy.decide(score)] != verdict.label:
        cut = f"{policy.caution_at:g} and {policy.unsafe_at:g}"
        return f"{said} was decided {verdict.label}, which policy {policy.name} as it is set now ({cut}) would not say"
    if verdict.label == "unsafe":
        return f"{said} is at least {policy.unsafe_at:g}, from which policy {policy.name} says unsafe"
    if verdict.label == "needs_caution":
        span = f"at least {policy.caution_at:g} and below {policy.unsafe_at:g}"
        return f"{said} is {span}, where policy {policy.name} says needs_caution"
    return f"{said} is below {policy.caution_at:g}, from which policy {policy.name} says needs_caution"


def _carried(score: float, experts: Sequence[Share]) -> str:
    """Who carried the score. Of a score of 0 nobody carried anything."""
    voted = [one for one in experts if one.contribution is not None]
    named = [
        f"{one.name} {one.contribution or 0.0:.4f} ({(one.contribution or 0.0) / score:.0%})"
        if score > 0.0
        else one.name
        for one in voted[:MOST_NAMED]
    ]
    more = f" and {len(voted) - MOST_NAMED} more" if len(voted) > MOST_NAMED else ""
    return f"of it {', '.join(named)}{more}" if score > 0.0 else f"nobody saw anything in it: {', '.join(named)}{more}"


def _mixed(score: float, clip: float) -> float:
    """As it goes into the mixture: a float32 that was written with nine decimals."""
    return float(np.clip(np.float64(np.float32(score)), clip, 1.0 - clip))
