"""The made-up tenants are as they are said to be, and the page tells what was measured and which goals were missed."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.tenants.made import LARGEST, LEAST, labels_of, parts
from benchmarks.tenants.report import render
from benchmarks.tenants.results import Forecasts, Learning, Publishing, Results, Topic, View


def found(cold_us: float = 700.0, blocked_ms: float = 10.0) -> Results:
    return Results(
        at="2026-11-26", command="make bench-tenants", processor="a processor", cores=2, load=0.5,
        versions={"Python": "3.11"}, tenants=10_000, partitions=12, experts=6, labels=1_000_000,
        topic=Topic(29_000, 150_000, 130_000, 6_000.0, 5_000.0, 400_000_000),
        view=View(20.0, 12.0, 100_000_000, 600_000_000, 3_000.0, 1_700.0, blocked_ms, 8.0, 5.0, 700_000_000),
        forecasts=Forecasts(30.0, cold_us, 20.0, 150.0, 12.0, 90.0),
        publishing=Publishing(1_000, 900.0, 9.0, 1.8),
        learning=Learning(2_000, 400.0, 11_900.0, 20.0),
    )  # fmt: skip


def test_the_page_tells_sizes_times_and_goals() -> None:
    page = render(found())
    assert "| parts (of a context in a partition) | 150,000 of 348,000 |" in page
    assert "| a part in `moments.v1`, gzip | 2.7 kB |" in page
    assert "| a worker's memory: before, caught up | 100 MB, 600 MB |" in page
    assert "catching up 10, summing roles 5, deciding 12, saying weights 9, learning 20" in page
    assert "not reached" not in page


@pytest.mark.parametrize(
    ("missed", "line"),
    [
        (found(cold_us=1_200.0), "- cold, µs, below 1,000: **not reached** (1,200)."),
        (found(blocked_ms=60.0), "- blocked, ms, below 50: **not reached** (60)."),
    ],
)
def test_a_goal_that_was_missed_is_said_so(missed: Results, line: str) -> None:
    assert line in render(missed)


def test_few_tenants_have_most_labels_and_each_label_is_in_one_partition() -> None:
    assert [labels_of(1), labels_of(10), labels_of(10_000)] == [LARGEST, LARGEST // 10, LEAST]
    made = list(parts(3, 4))
    of_tenant: Counter[str] = Counter()
    for part in made:
        of_tenant[part.context.partition("/")[0]] += part.moments.rounds
    assert of_tenant == {f"tenant-{rank:05}": labels_of(rank) for rank in (1, 2, 3)}
    assert len({(part.context, part.partition) for part in made}) == len(made) == 3 * 3 * 4
