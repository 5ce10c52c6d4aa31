"""Records as workers would publish them: verdicts, weights and labels of any number of contexts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Final

from stream.records import Label, LabelName, Opinion, Source, Standing, Threshold, Thresholds, Verdict, Weights

EXPERTS: Final = ("permissive", "defensive", "replies", "jailbreak", "risks", "lexical")
ROLES: Final = ("user", "assistant")
ASKED: Final = 0.2
"""Of the turns, people are asked to label."""
CUT: Final = Thresholds(Threshold(0.35, 0.35, 0.35, False), Threshold(0.5, 0.5, 0.5, False))


def context(number: int) -> str:
    """Of a number from 0 on."""
    return f"tenant-{number // 2:05}/{ROLES[number % 2]}"


def of_traffic(rng: random.Random, contexts: int) -> int:
    """Which context the next turn is of: few have most of the traffic, and all have some."""
    return min(int(contexts * rng.random() ** 3), contexts - 1)


def verdict(rng: random.Random, number: int, contexts: int) -> Verdict:
    """The next one."""
    name = context(of_traffic(rng, contexts))
    tenant, _, role = name.partition("/")
    score = rng.betavariate(0.5, 2.0)
    weight = 1.0 / len(EXPERTS)
    opinions = tuple(
        Opinion(expert, "1", min(max(score + rng.gauss(0.0, 0.1), 0.0), 1.0), weight, "ok")
        if rng.random() < 0.98
        else Opinion(expert, "1", None, 0.0, "abstained")
        for expert in EXPERTS
    )
    label: LabelName = "unsafe" if score >= 0.5 else "needs_caution" if score >= 0.35 else "safe"
    return Verdict(
        f"turn-{number}", f"conversation-{number // 4}", tenant, "user" if role == "user" else "assistant", label,
        score, "permissive", {"Violence": 0.2}, opinions, name, number // 100, Source("aegis.turns.v1", 0, number),
        datetime.now(UTC), int(rng.lognormvariate(4.2, 0.6)), {"channel": "web"}, rng.random() < ASKED,
    )  # fmt: skip


def labelled(rng: random.Random, verdict: Verdict) -> Label:
    """What somebody says of a turn: unsafe as often as its score says."""
    says: LabelName = "unsafe" if rng.random() < (verdict.score or 0.0) else "safe"
    return Label(verdict.turn_id, verdict.conversation_id, says, "ann", datetime.now(UTC), verdict.tenant)


def weights(rng: random.Random, number: int, rounds: int, ago: float = 0.0) -> Weights:
    """Of a context, after so many labels; `ago` in seconds."""
    raw = [rng.expovariate(1.0) for _ in EXPERTS]
    loss = rounds * rng.uniform(0.05, 0.2)
    standings = tuple(
        Standing(f"{expert}@1", share / sum(raw), loss * rng.uniform(0.9, 2.0), rng.uniform(-0.1, 0.02) * rounds)
        for expert, share in zip(EXPERTS, raw, strict=True)
    )
    return Weights(
        context(number), "permissive", rounds, 0, datetime.now(UTC) - timedelta(seconds=ago), standings, loss,
        3.0 + 0.1 * rounds, 0.0, False, thresholds=CUT,
    )  # fmt: skip
