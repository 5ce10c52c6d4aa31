"""What the page of the recovery benchmark says of runs, without a run."""

from __future__ import annotations

from benchmarks.recovery.report import TITLES, render
from benchmarks.recovery.results import Results, Run, Sweep


def run(contestant: str, number: int, records: int, seconds: float, finished: bool = True) -> Run:
    return Run(contestant, number, records, seconds, seconds + 4, 7.0, 300.0, 80.0, 2.5, finished)


def page(*runs: Run) -> list[str]:
    results = Results(
        at="2026-01-05",
        command="make bench-recovery",
        processor="Some CPU",
        cores=2,
        versions={"Python": "3.11.7"},
        records=1000,
        record_bytes=330.4,
        partitions=4,
        runs=runs,
        sweeps=(Sweep("memory", 1000, 0.5, 12.3, 700.0),),
    )
    return render(results).splitlines()


def row(lines: list[str], key: str) -> list[str]:
    (line,) = (line for line in lines if line.startswith(f"| {TITLES[key]} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rates_are_of_what_was_read_and_ratios_are_taken_within_a_round() -> None:
    lines = page(
        run("aiokafka", 0, 1000, 10.0),
        run("memory-cold", 0, 1000, 20.0),
        run("aiokafka", 1, 1000, 2.0),
        run("memory-cold", 1, 1000, 2.5),
    )
    assert row(lines, "memory-cold")[3:5] == ["225 (50 to 400)", "0.65 (0.50 to 0.80)"]
    assert row(lines, "aiokafka")[4] == "1"


def test_a_run_that_read_next_to_nothing_has_no_rate() -> None:
    lines = page(run("rocksdict-warm", 0, 0, 0.0), run("aiokafka", 0, 1000, 1.0))
    assert row(lines, "rocksdict-warm")[1:7] == ["0", "0.0", "–", "–", "–", "4.0"]


def test_what_did_not_end_is_said_to_be_shown_as_far_as_it_came() -> None:
    lines = page(run("faust", 0, 500, 60.0, finished=False))
    assert f"{TITLES['faust']} did not end within its time: it is shown as far as it came." in lines


def test_the_sweep_has_its_stall() -> None:
    assert "| memory | 1,000 | 0.5 | 12 | 700 |" in page(run("aiokafka", 0, 1000, 1.0))
