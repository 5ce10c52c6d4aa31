"""What the live page keeps: counts over time, latencies, experts, calibration, histories. Without a broker."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from ensemble.policy import POLICIES
from stream.console.live import reliability
from stream.console.live.advice import MOST, Advice
from stream.console.live.history import POINTS, History
from stream.console.live.reliability import Reliability
from stream.console.live.slots import Slots
from stream.console.live.traffic import LABELS, TURNS, UNSAFE, Traffic, bucket_of, quantile
from stream.console.live.wire import SeenLabel, SeenOpinion, SeenVerdict
from stream.records import LabelName, Standing, Weights

NOW = 1_800_000_000.0


def opinion(name: str = "lexical", weight: float = 1.0, status: str = "ok") -> SeenOpinion:
    return SeenOpinion(name, "1", weight, status)


def verdict(turn_id: str, score: float | None, policy: str = "permissive", **fields: object) -> SeenVerdict:
    common: dict[str, object] = {"ask_label": True, "ask_probability": 1.0, **fields}
    return SeenVerdict(turn_id, "acme/user", policy, "safe", score, (opinion(),), 5, **common)  # type: ignore[arg-type]


def weights(rounds: int, at: float, *experts: Standing, bound: float | None = 2.0) -> Weights:
    told = experts or (Standing("a@1", 0.6, 1.0, 0.5), Standing("b@1", 0.4, 2.0, -0.5))
    when = datetime.fromtimestamp(at, UTC)
    return Weights("acme/user", "permissive", rounds, 0, when, told, 1.5, bound, 0.0, False)


def test_slots_keep_the_newest_and_no_more() -> None:
    slots = Slots(1, 5, 1)
    for second in range(20):
        slots.advance(NOW + second)
        row = slots.row(NOW + second)
        assert row is not None
        row[0] += second
    assert [row[0] for row in slots.rows(0) if row is not None] == [15, 16, 17, 18, 19]
    assert slots.row(NOW) is None


def test_a_slot_of_the_past_is_told_again() -> None:
    slots = Slots(1, 10, 1)
    slots.advance(NOW)
    slots.clean()
    slots.advance(NOW + 3)
    row = slots.row(NOW + 1)
    assert row is not None
    row[0] += 1
    assert slots.clean() == int(NOW) + 1
    assert slots.clean() == int(NOW) + 3


def test_a_time_to_come_counts_as_now() -> None:
    slots = Slots(1, 10, 1)
    slots.advance(NOW)
    row = slots.row(NOW + 3600)
    assert row is not None
    row[0] += 1
    assert slots.newest == int(NOW)
    assert slots.rows(slots.newest) == [[1.0]]


def test_nothing_is_known_of_the_time_without_a_broker_until_something_of_it_comes() -> None:
    traffic = Traffic()
    traffic.advance(NOW, True)
    traffic.advance(NOW + 2, False)
    traffic.advance(NOW + 3, True)
    traffic.count(UNSAFE, NOW + 1)
    assert traffic.series(int(NOW))["unsafe"] == [0, 1, None, 0]


def test_a_rate_leaves_the_second_out_that_has_not_ended() -> None:
    traffic = Traffic()
    for second in range(11):
        traffic.advance(NOW + second, True)
        traffic.count(TURNS, NOW + second, 4.0)
    assert traffic.rate((TURNS,), 10.0, NOW + 10) == pytest.approx(4.0)
    assert traffic.rate((LABELS,), 10.0, NOW + 10) == 0.0


@pytest.mark.parametrize("milliseconds", [1, 2, 17, 64, 433, 9_999, 500_000])
def test_a_quantile_is_right_to_seven_percent(milliseconds: int) -> None:
    counts = [0.0] * 97
    counts[bucket_of(milliseconds)] = 10.0
    found = quantile(counts, 0.5)
    assert found is not None
    assert math.isclose(found, milliseconds, rel_tol=0.075)


def test_quantiles_tell_the_slow_from_the_many() -> None:
    traffic = Traffic()
    traffic.advance(NOW, True)
    for place in range(100):
        traffic.took(5_000 if place >= 98 else 50, NOW)
    p50, p99 = traffic.quantiles(60.0, NOW)
    assert p50 == pytest.approx(50, rel=0.08)
    assert p99 == pytest.approx(5_000, rel=0.08)
    assert traffic.latencies(0)["p50"][-1] == pytest.approx(50, rel=0.08)


def test_of_no_verdict_there_is_no_latency() -> None:
    traffic = Traffic()
    traffic.advance(NOW, True)
    assert traffic.quantiles(60.0, NOW) == (None, None)


def test_experts_are_told_by_shares_and_mean_weight() -> None:
    advice = Advice()
    advice.advance(NOW)
    for place in range(10):
        status = "timeout" if place < 2 else "ok"
        advice.take((opinion("a", 0.0 if place < 2 else 0.5, status), opinion("b", 0.25)), NOW)
    advice.advance(NOW + 10)
    told = advice.told(NOW + 10)
    assert told["a"]["turns"] == 10
    assert told["a"]["timeout"] == 0.2
    assert told["a"]["weight"] == pytest.approx(0.4)
    assert told["b"]["ok"] == 1.0
    assert advice.weights(int(NOW // 5))["experts"]["a"][0] == pytest.approx(0.4)


def test_experts_without_end_are_not_kept() -> None:
    advice = Advice()
    advice.advance(NOW)
    for number in range(MOST + 50):
        advice.take((opinion(f"expert-{number}"),), NOW)
    assert len(advice.names) == MOST


def test_calibration_joins_labels_to_verdicts() -> None:
    found = Reliability(POLICIES)
    says: list[LabelName] = ["unsafe", "unsafe", "safe", "safe"]
    for place, label in enumerate(says):
        found.decided(verdict(f"t{place}", 0.55))
        found.labelled(SeenLabel(f"t{place}", label))
    told = found.overall.told()
    assert told["labels"] == 4
    assert told["count"] == [4]
    assert told["unsafe"] == [0.5]
    assert told["error"] == pytest.approx(0.05)
    assert found.of["acme/user"].told() == told


def test_a_corrected_label_takes_the_earlier_back() -> None:
    found = Reliability(POLICIES)
    found.decided(verdict("t", 0.9))
    found.labelled(SeenLabel("t", "unsafe"))
    found.labelled(SeenLabel("t", "safe"))
    told = found.overall.told()
    assert told["labels"] == 1
    assert told["unsafe"] == [0.0]


def test_what_needs_caution_is_what_the_policy_says() -> None:
    found = Reliability(POLICIES)
    for turn_id, policy in (("p", "permissive"), ("d", "defensive")):
        found.decided(verdict(turn_id, 0.1 if policy == "permissive" else 0.9, policy))
        found.labelled(SeenLabel(turn_id, "needs_caution"))
    assert found.overall.told()["unsafe"] == [0.0, 1.0]


def test_a_sampled_turn_counts_for_those_that_nobody_was_asked_about() -> None:
    found = Reliability(POLICIES)
    found.decided(verdict("rare", 0.55, ask_probability=0.1))
    found.decided(verdict("sure", 0.55))
    found.decided(verdict("unasked", 0.55, ask_label=False))
    for turn_id in ("rare", "sure", "unasked"):
        found.labelled(SeenLabel(turn_id, "unsafe" if turn_id == "rare" else "safe"))
    told = found.overall.told()
    assert told["labels"] == 2
    assert told["unsafe"] == [pytest.approx(10 / 11, abs=1e-4)]


def test_a_verdict_nobody_could_score_and_a_label_of_an_unknown_turn_are_left_out() -> None:
    found = Reliability(POLICIES)
    found.decided(verdict("asleep", None))
    found.labelled(SeenLabel("asleep", "safe"))
    found.labelled(SeenLabel("never", "safe"))
    assert found.overall.told()["labels"] == 0


def test_turns_that_wait_for_a_label_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reliability, "MOST_ASKED", 3)
    found = Reliability(POLICIES)
    for number in range(5):
        found.decided(verdict(f"t{number}", 0.5))
    for number in range(5):
        found.labelled(SeenLabel(f"t{number}", "safe"))
    assert found.overall.told()["labels"] == 3


@pytest.mark.parametrize("count", [1, 2, POINTS, POINTS + 1, 1_000, 5_003])
def test_a_history_reaches_from_the_first_to_the_newest_in_a_bounded_number_of_points(count: int) -> None:
    history = History(NOW)
    for number in range(count):
        history.add(weights(number, NOW + number))
    told = history.told()
    assert len(history) <= POINTS
    assert len(history) >= min(count, POINTS // 2)
    assert told["at"][0] == pytest.approx(NOW)
    assert told["rounds"][-1] == count - 1
    assert told["rounds"] == sorted(told["rounds"])


def test_a_history_shows_an_expert_from_when_it_came() -> None:
    history = History(NOW)
    history.add(weights(1, NOW, Standing("a@1", 1.0, 0.0, 0.0)))
    history.add(weights(2, NOW + 1, Standing("a@1", 0.7, 0.0, 0.2), Standing("b@1", 0.3, 0.0, 0.9), bound=None))
    told = history.told()
    assert told["experts"] == {"a@1": [1.0, 0.7], "b@1": [None, 0.3]}
    assert told["regret"] == [0.0, 0.9]
    assert told["bound"] == [2.0, None]
    assert told["at"][1] - told["at"][0] == pytest.approx(timedelta(seconds=1).total_seconds(), abs=0.02)
