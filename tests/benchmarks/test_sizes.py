"""What a turn takes grows with its panel, and is measured on records as the worker writes them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.sizes import disk_of, memory_of, records
from stream import state


def test_records_are_those_of_the_state_under_keys_that_never_repeat() -> None:
    written, told = records(50, 3)
    assert len({key for key, _ in written}) == 50
    assert all(len(state.decode_pending(value).experts) == 3 for _, value in written)
    assert 400 < told < 1200


def test_more_experts_take_more() -> None:
    (few, short), (many, long) = records(20, 1), records(20, 6)
    assert len(few[0][1]) < len(many[0][1])
    assert short < long


def test_memory_holds_at_least_the_records_and_a_disk_what_was_written(tmp_path: Path) -> None:
    written, _ = records(2_000, 3)
    assert memory_of(written) > sum(len(key) + len(value) for key, value in written) / len(written)
    assert disk_of(written, tmp_path) > 16  # a digest does not compress
