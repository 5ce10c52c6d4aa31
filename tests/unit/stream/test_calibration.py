"""Thresholds that labels set decide turns, and `weights.v1` tells them and the losses that departed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from structlog.testing import capture_logs

from ensemble import HALF_LIVES, PERMISSIVE, Moments, Rounds, calibrate, fold, zero
from experts.base import Passage
from experts.executor import Panel
from experts.fakes import InstantExpert
from stream import projection, state
from stream.calibration import DriftWatch
from stream.judge import Judge
from stream.metrics import Metrics
from stream.policies import Policies
from stream.records import Turn, Weights
from stream.roster import Roster
from stream.settings import Settings
from stream.verdicts import Arrival
from stream.view import MergedView
from stream.weights import WeightsPublisher

CONTEXT = "default/user"
EXPERT = InstantExpert("only")
SETTINGS = Settings.load(policy="measured", policies={"measured": {"thresholds": "rate"}})
POLICY = Policies(SETTINGS).of(CONTEXT)
NOON = 1_700_000_000.0
SENT = datetime(2026, 1, 1, tzinfo=UTC)


def learned(scores: Any, label: int = 0) -> Moments:
    """One round a minute in which the only expert gave these scores, of this label."""
    one = np.asarray(scores, float)[:, None]
    forecasts = np.repeat(one, len(HALF_LIVES), axis=1)
    rounds = Rounds.of(
        one, one >= 0.0, forecasts, one[:, 0], [label] * len(one), NOON + 60.0 * np.arange(len(one)), used=0
    )
    return fold(zero((EXPERT.id,)), rounds)


def viewing(moments: Moments, offset: int = 1, view: MergedView | None = None) -> MergedView:
    view = view or MergedView(SETTINGS)
    view.learn(0, projection.part_key(CONTEXT), projection.encode_part(offset, moments))
    return view


HARMLESS_BUT_HIGH = learned(np.linspace(0.0, 0.8, 400))


def test_turns_are_decided_by_the_thresholds_that_labels_set() -> None:
    turns = [Turn(f"t{n}", "c", "user", f"text {n}", SENT) for n in range(100)]
    arrivals = [Arrival(turn, 0, n, 0, state.digest(turn.role, turn.text)) for n, turn in enumerate(turns)]
    judge = Judge(Roster(Panel([EXPERT])), viewing(HARMLESS_BUT_HIGH), Policies(SETTINGS), lambda: 0)
    decided = judge.decide(arrivals, judge.advise([Passage(turn.role, turn.text, ()) for turn in turns]))
    found = calibrate(HARMLESS_BUT_HIGH, POLICY)
    assert found.unsafe.value > 0.75 > POLICY.unsafe_at
    scores = np.array([pending.published for pending in decided])
    assert [pending.label for pending in decided] == found.applied(POLICY).decide_many(scores).tolist()
    assert [pending.label for pending in decided] != POLICY.decide_many(scores).tolist()
    assert {pending.policy for pending in decided} == {"measured"}


def test_thresholds_are_computed_once_for_each_change_of_the_moments() -> None:
    view = viewing(zero((EXPERT.id,)))
    before = view.deciding(CONTEXT, POLICY)
    assert before is POLICY
    viewing(HARMLESS_BUT_HIGH, 2, view)
    after = view.deciding(CONTEXT, POLICY)
    assert after.unsafe_at == view.thresholds(CONTEXT, POLICY).unsafe.value > POLICY.unsafe_at
    assert view.deciding(CONTEXT, POLICY) is after
    view.learn(0, projection.part_key("other/user"), projection.encode_part(3, HARMLESS_BUT_HIGH))
    assert view.deciding(CONTEXT, POLICY) is after


def test_a_policy_with_fixed_thresholds_decides_as_it_is_written() -> None:
    view = viewing(HARMLESS_BUT_HIGH)
    assert view.deciding(CONTEXT, PERMISSIVE) is PERMISSIVE
    assert view.thresholds(CONTEXT, PERMISSIVE).unsafe.value == PERMISSIVE.unsafe_at


def published(moments: Moments) -> tuple[Weights, Metrics]:
    """What the owner of partition 0 publishes of the context, as a consumer reads it."""
    sent: list[bytes] = []

    async def append(topic: str, partition: int, records: list[Any]) -> None:
        if topic.endswith("weights.v1"):
            sent.extend(record.value for record in records)

    metrics, world = Metrics(), SimpleNamespace(append=append, owner_of=lambda *_: "this worker")
    owner: Any = world
    publisher = WeightsPublisher(
        SETTINGS, owner, owner, viewing(moments), Policies(SETTINGS), Roster(Panel([EXPERT])), metrics
    )
    asyncio.run(publisher._publish())
    (value,) = sent
    return msgspec.json.decode(value, type=Weights), metrics


def test_weights_tell_the_thresholds_that_decide_with_their_intervals() -> None:
    told, _ = published(HARMLESS_BUT_HIGH)
    found = calibrate(HARMLESS_BUT_HIGH, POLICY)
    assert told.thresholds is not None
    for ours, theirs in ((told.thresholds.caution, found.caution), (told.thresholds.unsafe, found.unsafe)):
        assert (ours.score, ours.low, ours.high) == (theirs.value, theirs.low, theirs.high)
        assert ours.calibrated
        assert ours.low < ours.high
    assert told.drift == ()


def test_weights_of_a_young_context_tell_the_fixed_thresholds_and_that_they_are() -> None:
    told, _ = published(learned([0.1] * 5))
    assert told.thresholds is not None
    unsafe = told.thresholds.unsafe
    assert (unsafe.score, unsafe.low, unsafe.high, unsafe.calibrated) == (0.5, 0.5, 0.5, False)


def drifting(after: int) -> Moments:
    """Ten thousand turns without much loss, then some on which the only expert is wrong."""
    return learned([0.1] * 10_000 + [0.9] * after)


def test_weights_name_the_losses_that_departed_and_the_gauge_counts_their_contexts() -> None:
    told, metrics = published(drifting(500))
    assert [one.id for one in told.drift] == [EXPERT.id, "ensemble"]
    for one in told.drift:
        assert one.half_life in HALF_LIVES[1:]
        assert one.recent > 0.05 > one.long_run > 0.0
    assert gauge(metrics) == (1.0, 0.0)


def gauge(metrics: Metrics) -> tuple[float | None, float | None]:
    def of(direction: str) -> float | None:
        return metrics.registry.get_sample_value("aegis_drift", {"direction": direction})

    return of("worse"), of("better")


def test_a_departure_is_logged_once_without_a_tenant_and_again_when_it_comes_back() -> None:
    metrics = Metrics()
    watch, policy = DriftWatch(metrics), replace(PERMISSIVE, name="known")
    with capture_logs() as events:
        for moments in (drifting(0), drifting(500), drifting(501)):
            watch.look("acme/user", policy, moments)
    assert [(e["event"], e["scorer"], e["direction"]) for e in events] == [
        ("loss_departed", "ensemble", "worse"),
        ("loss_departed", EXPERT.id, "worse"),
    ]
    assert "acme" not in repr(events)
    assert gauge(metrics) == (1.0, 0.0)
    watch.look("acme/user", policy, drifting(0))
    assert gauge(metrics) == (0.0, 0.0)
    with capture_logs() as again:
        watch.look("acme/user", policy, drifting(500))
    assert len(again) == 2


def test_a_worker_that_no_longer_looks_counts_no_context() -> None:
    metrics = Metrics()
    watch = DriftWatch(metrics)
    watch.look("acme/user", PERMISSIVE, drifting(500))
    watch.look("beta/user", PERMISSIVE, learned([0.9] * 10_000 + [0.1] * 3000))
    assert gauge(metrics) == (1.0, 1.0)
    watch.forget()
    assert gauge(metrics) == (0.0, 0.0)


@pytest.mark.parametrize("fields", [b"", b',"thresholds":null,"drift":[]'])
def test_weights_written_before_thresholds_were_told_can_be_read(fields: bytes) -> None:
    old = b'{"context":"a/user","policy":"p","rounds":1,"since_rounds":0,"at":"2026-01-01T00:00:00Z","experts":[],'
    old += b'"ensemble_loss":0.0,"bound":null,"delay":0.0,"alarm":false' + fields + b"}"
    told = msgspec.json.decode(old, type=Weights)
    assert (told.thresholds, told.drift) == (None, ())
