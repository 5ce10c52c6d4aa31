"""The page of the gateway's benchmark says what was measured."""

from __future__ import annotations

from benchmarks.gateway.report import render
from benchmarks.gateway.results import Results, Run
from stream.gateway.shapes import Way


def test_a_row_has_the_median_and_the_spread_of_its_rounds() -> None:
    measured: tuple[tuple[Way, tuple[float, ...]], ...] = (("topics", (100.0, 300.0, 200.0)), ("direct", (1000.0,) * 3))
    runs = tuple(
        Run(way, 32, 1, number, 100, rate, 10.0 + number, 20.0, 1.0)
        for way, rates in measured
        for number, rate in enumerate(rates)
    )
    page = render(Results("2026-01-01", "make bench-gateway", "a processor", 2, {"Python": "3.11"}, 8.0, runs))
    topics = "| by way of the topics | 32 | 1 | 200 (100 to 300) | 11.0 (10.0 to 12.0) | 20.0 |"
    assert topics in page
    assert "| at once | 32 | 1 | 1,000 |" in page
    assert "3 rounds of 8 s" in page
