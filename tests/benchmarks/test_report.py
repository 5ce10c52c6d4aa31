"""What the benchmark's page says of runs, without a run."""

from __future__ import annotations

import pytest

from benchmarks.fleet import part_of, partitions_told
from benchmarks.report import ratios, render
from benchmarks.results import Part, Results, Run

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


def test_a_row_has_the_brokers_own_time_where_it_is_known() -> None:
    known = [Run("worker-memory", 0, 1000, 1.0, 10.0, 10.0, 900.0, 2.5, broker_us=4.25)]
    assert row(page(known), "**worker**")[5] == "4.2"
    assert row(page(rounds("worker-memory", 10.0)), "**worker**")[5] == "–"


def test_of_a_group_the_page_says_what_each_worker_did() -> None:
    workers = (Part((0, 1), 5_000, 1.25, 40), Part((2,), 3_000, 0.5, 1_510))
    lines = page([Run("worker-memory", 0, 1000, 1.0, 10.0, 10.0, 900.0, 2.5, workers=workers)])
    assert "| **worker** | 1 | 0,1 + 2 | 5,000 + 3,000 | 1.2 + 0.5 | 40 + 1,510 |" in lines


def test_a_workers_pause_is_its_longest_time_without_a_verdict_from_the_first_turn_on() -> None:
    stamps = {0: [1_030, 1_060], 1: [1_100, 1_400], 2: [1_000, 9_000]}
    assert part_of((0, 1), stamps, began=1_000, cpu_s=0.5) == Part((0, 1), 4, 0.5, 300)
    assert part_of((1,), stamps, began=0, cpu_s=0.5).pause_ms == 1_100
    assert part_of((), stamps, began=0, cpu_s=0.5) == Part((), 0, 0.5, 0)


def test_the_partitions_of_a_worker_are_those_that_it_named_last() -> None:
    lines = [
        '{"event": "worker_ready", "partitions": [0, 1, 2]}',
        "no JSON",
        '{"event": "worker_ready", "partitions": [2, 1]}',
    ]
    assert partitions_told("\n".join(lines)) == (1, 2)
    assert partitions_told("worker_ready") == ()
