"""What the benchmark's page says of runs, without a run."""

from __future__ import annotations

import pytest

from benchmarks.report import ratios, render
from benchmarks.results import Results, Run

TITLES = {
    "worker-memory": "**worker**",
    "quixstreams": "quixstreams",
    "aiokafka-batches": "aiokafka in batches",
    "librdkafka-records": "librdkafka",
}


def rounds(contestant: str, *rates: float) -> list[Run]:
    return [Run(contestant, number, 1000, 1.0, rate, 10.0, 900.0, 2.5) for number, rate in enumerate(rates)]


def page(*runs: list[Run]) -> list[str]:
    results = Results(
        at="2026-01-05",
        command="make bench-stream",
        processor="Some CPU",
        cores=2,
        versions={"Python": "3.11.7"},
        turns=1000,
        turn_bytes=231.7,
        partitions=4,
        runs=tuple(run for some in runs for run in some),
    )
    return render(results, TITLES).splitlines()


def row(lines: list[str], title: str) -> list[str]:
    (line,) = (line for line in lines if line.startswith(f"| {title} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_the_median_and_the_spread_of_the_rate() -> None:
    assert row(page(rounds("quixstreams", 9_000, 12_000, 10_000)), "quixstreams")[1] == "10,000 (9,000 to 12,000)"


def test_ratios_are_taken_within_a_round_and_not_between_medians() -> None:
    runs = rounds("worker-memory", 10, 40, 30) + rounds("quixstreams", 10, 20, 10)
    assert ratios(runs, "worker-memory", "quixstreams") == [1.0, 2.0, 3.0]


def test_a_round_in_which_one_of_the_two_is_missing_gives_no_ratio() -> None:
    runs = rounds("worker-memory", 10, 40) + rounds("quixstreams", 10)
    assert ratios(runs, "worker-memory", "quixstreams") == [1.0]


def test_a_contestant_without_a_run_has_no_row() -> None:
    assert not any("librdkafka" in line and line.startswith("|") for line in page(rounds("worker-memory", 10.0)))


def test_without_the_base_a_ratio_is_a_dash() -> None:
    assert row(page(rounds("worker-memory", 10.0)), "**worker**")[2:4] == ["–", "–"]


@pytest.mark.parametrize(
    ("rates", "verdict"),
    [
        ((50, 60, 70), "reached in every round"),
        ((20, 50, 60), "reached by the median, not in every round"),
        ((20, 20, 60), "**not reached**"),
    ],
)
def test_the_page_says_whether_a_goal_was_reached_and_how_surely(rates: tuple[float, ...], verdict: str) -> None:
    lines = page(rounds("worker-memory", *rates), rounds("aiokafka-batches", 100, 100, 100))
    assert f"- worker: 0.5 of bare aiokafka in batches: {verdict}." in lines


def test_the_page_names_the_command_the_machine_and_its_load() -> None:
    text = "\n".join(page(rounds("worker-memory", 10.0)))
    assert "`make bench-stream` on 2026-01-05: Some CPU, 2 cores" in text
    assert "load average before a run 2.5 to 2.5" in text
    assert "1,000 turns of 232 bytes in 4 partitions" in text
