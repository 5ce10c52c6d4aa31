"""What the page of the end-to-end benchmark says of runs, without a run; and its turns and arrivals."""

from __future__ import annotations

import pytest

from benchmarks.e2e.report import percentile, render
from benchmarks.e2e.results import Latency, Results, Run
from benchmarks.e2e.stage import turns_of
from stream.codecs import decode_turn
from stream.records import Turn


def page(bare: tuple[float, ...], ours: tuple[float, ...], *latencies: Latency) -> str:
    runs = [Run(key, number, 1.0, rate, 0.5) for key, rates in (("bare", bare), ("worker", ours))
            for number, rate in enumerate(rates)]  # fmt: skip
    return render(
        Results(
            at="2026-01-05",
            command="make bench-e2e",
            processor="Some CPU",
            cores=2,
            versions={"Python": "3.11.7"},
            texts=500,
            tokens=41.3,
            source="some set",
            capacity={"shipped": 48.0},
            runs=tuple(runs),
            latencies=latencies,
        )
    )


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ((46, 47), "reached in every round"),
        ((44, 49), "reached by the median, not in every round"),
        ((40, 44), "**not reached**"),
    ],
)
def test_the_page_says_whether_the_worker_keeps_up_with_the_bare_session(
    ours: tuple[float, float], verdict: str
) -> None:
    assert f"- At least 0.9 of the bare session: {verdict}." in page((50.0, 50.0), ours)


def test_ratios_are_taken_within_a_round() -> None:
    assert "| **worker**, all shipped experts | 27.5 (10.0 to 45.0) | 0.95 (0.90 to 1.00) |" in page((50, 10), (45, 10))


def test_a_latency_has_its_load_its_rate_and_its_percentiles() -> None:
    text = page((50.0,), (48.0,), Latency("shipped", 0.8, 38.4, 1152, 61.0, 180.0, 240.0))
    assert "| shipped | 80 % of capacity | 38 | 1,152 | 61 | 180 | 240 |" in text
    assert "Capacity with shipped experts: 48 turns/s." in text


def test_the_page_tells_what_a_token_costs() -> None:
    assert "- A token costs 1.01 core-ms" in page((50.0,), (48.0,))  # 2 cores, 48 texts of 41.3 tokens a second


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, value: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value


def test_each_text_is_a_turn_of_the_contract_in_a_conversation_of_its_own() -> None:
    made = [decode_turn(value, 65_536) for _, value in turns_of(["hello", 'say "no"'], "run-1")]
    turns = [turn for turn in made if isinstance(turn, Turn)]
    assert [turn.text for turn in turns] == ["hello", 'say "no"']
    assert len({turn.conversation_id for turn in turns}) == len({turn.turn_id for turn in turns}) == 2
