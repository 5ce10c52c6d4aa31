from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import bounds
from benchmarks.bounds import Worst, broken, page, worst
from support import guarantees
from support.adversaries import Stream
from support.guarantees import GUARANTEES, Trial, trials


def test_the_worst_stream_stands_for_its_guarantee() -> None:
    first, second, *_ = trials((0,))
    rows = worst([(first, 0.2), (second, 0.7)])
    assert [row.cells() for row in rows] == [("exponential weights", "brier", "0", "0.7", "constants, in blocks")]


def test_a_ratio_that_is_above_one_or_proves_nothing_is_broken() -> None:
    rows = [Worst("a", "brier", 0, ratio, "s") for ratio in (-1.0, 1.0, 1.1, float("inf"), float("nan"))]
    assert len(broken(rows)) == 3
    assert "Above its bound: 3." in page(rows, "it", 5, 1.0)
    assert "| a | brier | 0 | 1.1 | s |" in page(rows, "it", 5, 1.0)


def test_the_command_prints_its_table_writes_its_page_and_exits_by_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one(measure: guarantees.Measure) -> None:
        only = (replace(GUARANTEES[0], measure=measure),)
        monkeypatch.setattr(guarantees, "GUARANTEES", only)

    one(GUARANTEES[0].measure)
    kept = CliRunner().invoke(bounds.main, ["--turns", "5", "--delay", "0", "--output", str(tmp_path / "bounds")])
    assert kept.exit_code == 0, kept.output
    assert "exponential" in kept.output
    assert "Above its bound: none." in (tmp_path / "bounds.md").read_text(encoding="utf-8")
    one(lambda stream, turns: 1.5)
    assert CliRunner().invoke(bounds.main, ["--turns", "5", "--delay", "0"]).exit_code == 1


def test_a_stream_runs_until_labels_have_come() -> None:
    asked: list[tuple[int, int]] = []

    def measure(stream: Stream, turns: int) -> float:
        asked.append((stream.step, turns))
        return 0.0

    for delay in (0, 5000):
        Trial(replace(GUARANTEES[0], measure=measure), delay, *guarantees.STREAMS[0]).ratio(20)
    assert asked == [(1, 20), (500, 7_500)]
