"""Recovery: how far it is, what it refuses, and where it goes on behind a cut."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ensemble import codec
from ensemble.moments import zero
from stream import state
from stream.errors import StateError
from stream.health import RECOVERING
from stream.ownership import Ownership
from stream.recovery import Progress, apply_known
from stream.rocks import EMPTY
from stream.settings import Settings
from stream.stores import MemoryStore

PENDING = state.encode(
    state.Pending(1, 5, b"", 0, 0, 0, "c", "p", 0, (), b"", b"", b"", b"", None, 0, 0.0, {}, 1.0, {})
)


def record(offset: int, key: bytes, value: bytes | None) -> Any:
    return SimpleNamespace(topic="log", partition=0, offset=offset, key=key, value=value)


def test_progress_counts_offsets_so_that_compaction_does_not_leave_it_short() -> None:
    now = [100.0]
    progress = Progress.of({0: (0, 1000), 1: (500, 1500)}, lambda: now[0])
    assert (progress.left, progress.told()["seconds_left"]) == (2000, None)
    now[0] = 102.0
    progress.applied(0, 10, 399)
    progress.applied(1, 10, 599)
    told = progress.told()
    assert told == {"records": 500, "of": 2000, "percent": 25.0, "rate": 250, "seconds_left": 6.0}
    assert str(progress) == "recovering: 500 of 2,000 changelog records (25 %), 6 s left"
    progress.applied(0, 1, 999)
    progress.applied(1, 1, 1499)
    assert (progress.left, progress.records) == (0, 22)


def test_readiness_says_how_far_the_recovery_is() -> None:
    nobody: Any = None
    ownership = Ownership(Settings.load(), nobody, nobody, nobody, nobody, nobody)
    assert ownership.trouble() == RECOVERING
    ownership.recovery.progress = Progress.of({0: (0, 10)}, lambda: 1.0)
    assert ownership.trouble() == "recovering: 0 of 10 changelog records (0 %)"
    ownership.recovery.progress, ownership.generation = None, 3
    assert ownership.trouble() is None


def test_records_of_every_kind_that_this_version_writes_are_applied_and_claims_are_not_kept() -> None:
    store = MemoryStore()
    early = state.encode(state.Early(1, 0, 0, 0, 0, None, b""))
    said = state.encode(state.Conversation(1, 0, 0, 0, (), ()))
    kept = {
        b"pa": PENDING,
        b"m" + b"c": codec.encode(zero(("a",))),
        state.early_key("t", "x", "ann"): early,
        b"cx": said,
    }
    records = [record(n, key, value) for n, (key, value) in enumerate(kept.items())]
    claims = [record(4, state.CLAIM, b""), record(5, state.CLAIM, state.claim_value(8)), record(6, b"cx", None)]
    assert apply_known(store, [*records, *claims]) == state.VERSION
    assert dict(store.scan(b"")) == {key: value for key, value in kept.items() if key != b"cx"}
    assert store.offset == 6


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"pa", msgspec.msgpack.encode([2, *range(30)])),
        (b"pa", msgspec.msgpack.encode([300, *range(30)])),
        (b"ex", msgspec.msgpack.encode([0, 1])),
        (b"mx", b"AM" + bytes([codec.VERSION + 1]) + bytes(60)),
        (b"mx", b""),
        (b"pa", b""),
        (b"pa", b"\xc1"),
    ],
)
def test_a_record_that_this_version_cannot_read_is_refused_before_any_is_applied(key: bytes, value: bytes) -> None:
    store = MemoryStore()
    with pytest.raises(StateError, match=r"^log\[0\]: .*: aegis-stream 7\.0$"):
        apply_known(store, [record(0, b"pb", PENDING), record(1, key, value)], "7.0")
    assert store.offset == EMPTY


def test_the_version_to_run_is_that_of_the_last_claim_before_the_record() -> None:
    def claim(offset: int, version: str) -> Any:
        return record(offset, state.CLAIM, msgspec.json.encode({"partitions": 8, "version": version}))

    unknown = record(2, b"pa", msgspec.msgpack.encode([9]))
    with pytest.raises(StateError, match=r"run the version that wrote it: aegis-stream 9\.0$"):
        apply_known(MemoryStore(), [claim(0, "8.0"), claim(1, "9.0"), unknown, claim(3, "1.0")])


@pytest.mark.parametrize("value", [None, b"", b"8", b"[1]", b"\xff"])
def test_a_claim_of_before_says_no_version(value: bytes | None) -> None:
    assert state.claimed_by(value) is None
