"""What the page of the experts on a GPU says of runs, without a GPU."""

from __future__ import annotations

from benchmarks.gpu.report import BARE, FIVE, OURS, PIPELINE, SERVED, TITLES, render
from benchmarks.gpu.results import Apart, Batches, Gpu, Results
from benchmarks.serving.results import Run


def rounds(contestant: str, *rates: float) -> list[Run]:
    return [Run(contestant, number, 100 / rate, rate, 0.1, 1.5) for number, rate in enumerate(rates)]


def page(*runs: list[Run], **missing: str) -> list[str]:
    results = Results(
        at="2026-01-05",
        command="make gpu",
        processor="Some CPU",
        cores=16,
        versions={"Python": "3.11.7"},
        gpu=Gpu("NVIDIA X", "580.1", 81559, 0, 1800),
        texts=100,
        tokens=45.4,
        missing=missing,
        apart=(Apart("risks", "GPU, fp16", 1.4e-3, 1e-3, 1e-4),),
        batches=tuple(Batches(name, 0, 40_000, 7.31, 8.31) for name in ("bare fp32", BARE, SERVED)),
        runs=tuple(run for some in runs for run in some),
    )
    return render(results).splitlines()


def test_rates_stand_beside_the_bare_session_of_their_round() -> None:
    lines = page(rounds(BARE, 20_000, 30_000), rounds(FIVE, 19_000, 27_000), rounds(OURS, 10_000, 12_000))
    assert f"| {TITLES[BARE]} | 25,000 (20,000 to 30,000) | 1 |" in lines
    assert f"| {TITLES[OURS]} | 11,000 (10,000 to 12,000) | 0.45 (0.40 to 0.50) |" in lines
    assert (
        "- panel, the five experts on that encoder: at least 0.9 of the bare session: reached in every round." in lines
    )
    assert "- panel, all six shipped experts: at least 0.9 of the bare session: **not reached**." in lines
    assert "NVIDIA X, 81,559 MiB, driver 580.1; the panel takes 1,800 MiB." in lines
    assert "| risks | GPU, fp16 | 1.4e-03 | 1.0e-03 | 1.0e-04 |" in lines


def test_a_contestant_that_did_not_run_is_named_with_its_reason() -> None:
    lines = page(rounds(BARE, 20_000), **{PIPELINE: "no torch"})
    assert f"- {TITLES[PIPELINE]} did not run: no torch." in lines
    assert not any(line.startswith(f"| {TITLES[PIPELINE]}") for line in lines)
