"""What is told of learning, of the broker and of what waits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ensemble.regret import RegretReport
from stream.gauges import Listening
from stream.learning_gauges import LearningGauges
from stream.metrics import Metrics


def found(rounds: int, loss: float, regret: float, bound: float) -> RegretReport:
    one = np.array([loss])
    return RegretReport(
        ("a@1",), rounds, 0.0, loss, one, np.array([regret]), np.array([bound]), bound, regret / bound, regret > bound
    )


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_of_each_role_the_context_nearest_its_bound_is_told_and_sums_over_all() -> None:
    metrics = Metrics()
    gauges = LearningGauges(metrics)
    gauges.learn("acme/user", found(10, 4.0, 1.0, 10.0), {"a@1": 1.0, "b@1": 0.0})
    gauges.learn("other/user", found(30, 6.0, 5.0, 10.0), {"a@1": 0.0, "b@1": 1.0})
    gauges.learn("acme/assistant", found(5, 1.0, 1.0, math.inf), {"a@1": 1.0})
    gauges.tell()
    assert value(metrics, "aegis_regret_ratio") == 0.5
    assert value(metrics, "aegis_contexts", role="user") == 2
    assert value(metrics, "aegis_rounds", role="user") == 40
    assert value(metrics, "aegis_regret", role="user") == 5.0
    assert value(metrics, "aegis_regret_bound", role="user") == 10.0
    assert value(metrics, "aegis_regret_bound", role="assistant") is None
    assert value(metrics, "aegis_loss", role="user") == 0.25
    assert value(metrics, "aegis_expert_weight", expert="b@1", role="user") == 0.75


def test_a_context_that_learns_on_counts_once() -> None:
    metrics = Metrics()
    gauges = LearningGauges(metrics)
    for rounds in range(1, 101):
        gauges.learn("acme/user", found(rounds, rounds * 0.1, 1.0, 10.0), {"a@1": 1 / 3, "b@1": 2 / 3})
    gauges.tell()
    assert value(metrics, "aegis_rounds", role="user") == 100
    assert value(metrics, "aegis_loss", role="user") == pytest.approx(0.1)
    assert value(metrics, "aegis_expert_weight", expert="a@1", role="user") == pytest.approx(1 / 3)


def test_a_worker_that_no_longer_owns_partition_0_tells_nothing_of_learning() -> None:
    metrics = Metrics()
    gauges = LearningGauges(metrics)
    gauges.learn("acme/user", found(10, 4.0, 20.0, 10.0), {"a@1": 1.0})
    gauges.tell()
    assert value(metrics, "aegis_regret_ratio") == 2.0
    gauges.forget()
    assert value(metrics, "aegis_regret_ratio") == 0.0
    assert value(metrics, "aegis_rounds", role="user") is None


def test_silence_lasts_from_the_last_answer_by_the_loops_clock() -> None:
    listening = Listening(100.0)
    assert listening.silent(1_000.0, 101.0) == 0.0
    assert listening.silent(1_000.0, 109.0) == 8.0
    assert listening.silent(900.0, 110.0) == 0.0, "an answer, whatever the broker's client thinks the time is"
