"""The page of `make bench-console`, and what its trace says."""

from __future__ import annotations

import json

import pytest

from benchmarks.console.report import render
from benchmarks.console.results import Results, Sample
from benchmarks.console.watching import TASK, longest


def results(**last: float) -> Results:
    """Two minutes of samples; `last` changes the last third."""
    first = {"heap_mb": 4.0, "console_mb": 150.0, "console_cpu": 0.08, "spent_ms": 30.0, "late_ms": 12.0}
    samples = []
    for place in range(1, 25):
        figures = {**first, **(last if place > 16 else {})}
        samples.append(Sample(at=5.0 * place, long_ms=(70.0,) if place == 3 else (), nodes=1200, **figures))
    return Results("2026-01-01", "python -m x", "a processor", 2, {"Python": "3"}, 3.0, 10_000, 1_000, 120_000, 120.0,
                   tuple(samples))  # fmt: skip


def test_a_flat_page_that_is_never_blocked_keeps_what_is_promised() -> None:
    found = results()
    assert found.kept
    page = render(found)
    assert "**kept**" in page
    assert "| 1 | 4.0 | 150 | 30 | 70 | 12 |" in page
    assert "1,000 a second" in page


@pytest.mark.parametrize("last", [{"spent_ms": 120.0}, {"heap_mb": 8.0}, {"console_mb": 300.0}])
def test_what_grows_or_blocks_does_not(last: dict[str, float]) -> None:
    found = results(**last)
    assert not found.kept
    assert "**NOT kept**" in render(found)


def test_the_longest_task_is_that_of_the_pages_main_thread() -> None:
    def task(pid: int, tid: int, spent: int) -> dict[str, object]:
        return {"name": TASK, "pid": pid, "tid": tid, "tdur": spent, "args": {}}

    events = [
        {"name": "thread_name", "pid": 7, "tid": 7, "args": {"name": "CrRendererMain"}},
        {"name": "thread_name", "pid": 1, "tid": 1, "args": {"name": "CrBrowserMain"}},
        *(task(7, 7, 4_000), task(7, 7, 31_000), task(7, 8, 80_000), task(1, 1, 90_000)),
    ]
    assert longest(json.dumps({"traceEvents": events}).encode()) == 31.0
