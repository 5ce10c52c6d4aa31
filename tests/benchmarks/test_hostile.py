"""The benchmark of hostile messages: a small piece of it, and that its checks can fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.hostile.ledger import Ledger
from benchmarks.hostile.messages import EARLY, JUDGED, KINDS, LEARNED, REPEATED, Generator, Message
from benchmarks.hostile.report import render
from benchmarks.hostile.results import Memory, Results, Sample
from benchmarks.hostile.run import Hostile, memory
from stream import state
from stream.dead_letters import DETAIL, OFFSET, PARTITION, REASON, TOPIC

GOOD, BAD = 2_000, 20_000
TOPICS = {"turns": "t.turns", "labels": "t.labels"}


@pytest.mark.slow
def test_every_good_turn_is_judged_once_and_every_bad_message_is_set_aside_untouched(
    broker: str, tmp_path: Path
) -> None:
    outcome = Hostile(broker, tmp_path, "rocksdict").run(1, GOOD, BAD)
    ledger = outcome.ledger
    assert ledger.problems.lines == []
    assert ledger.becomes[JUDGED] == GOOD
    assert set(ledger.kinds) == {*KINDS, "good turn", "good label"}
    assert sum(ledger.kinds[kind] for kind in KINDS) == BAD


def test_the_same_seed_gives_the_same_messages_and_another_gives_others() -> None:
    first, again, other = (list(Generator(seed, 50, 500, 4)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@dataclass
class Record:
    """As librdkafka gives one."""

    at: tuple[int, int]
    mine: bytes | None
    said: bytes | None
    about: Sequence[tuple[str, bytes | None]] = field(default=())

    def partition(self) -> int:
        return self.at[0]

    def offset(self) -> int:
        return self.at[1]

    def key(self) -> bytes | None:
        return self.mine

    def value(self) -> bytes | None:
        return self.said

    def headers(self) -> Any:
        return list(self.about) or None


BAD_TURN = Message("turns", 1, b"k", b"{", [("trace", b"1"), (REASON, None)], "not_json", "bad")
GOOD_TURN = Message("turns", 1, b"c", b"good", [], JUDGED, "good turn", 7)
AGAIN = GOOD_TURN._replace(becomes=REPEATED)
LABEL = Message("labels", 1, b"c", b"label", [], LEARNED, "good label", 7)
LONELY = Message("labels", 1, b"n", b"lonely", [], EARLY, "of nobody")


def letter(offset: int = 0, reason: bytes = b"not_json", **changed: Any) -> Record:
    about = [(REASON, reason), (DETAIL, b""), (TOPIC, b"t.turns"), (PARTITION, b"1"), (OFFSET, b"%d" % offset)]
    own = changed.pop("own", BAD_TURN.headers)
    return Record(changed.pop("at", (1, 0)), changed.pop("key", b"k"), changed.pop("value", b"{"), [*own, *about])


def verdict(turn: bytes = b"turn-7", offset: int = 1, more: bytes = b"") -> Record:
    value = b'{"turn_id":"%s","source":{"topic":"t","partition":1,"offset":%d}%s}' % (turn, offset, more)
    return Record((1, 0), b"c", value)


def pending(votes: int = 1) -> tuple[bytes, bytes]:
    cast = {str(number): (2, 0) for number in range(votes)}
    values = [1, 0, b"", 1, 1, 0, "c", "p", 2, [], b"", b"", b"", b"", 0.5, 0, 0.0, {}, 1.0, cast]
    return b"p", msgspec.msgpack.encode(values)


def early(value: bytes = b"lonely") -> tuple[bytes, bytes]:
    return b"e", state.encode(state.Early(1, 0, 0, 0, 0, b"n", value))


SOUND: dict[str, list[Any]] = {
    "letter": [letter()],
    "verdict": [verdict(), verdict()],
    "label": [Record((1, 0), b"c", b"label"), Record((1, 2), b"n", b"lonely")],
    "changelog": [[pending(), early(), (b"m", b""), (b"p2", None)]],
}


def problems(**changed: list[Any]) -> list[str]:
    ledger = Ledger(TOPICS)
    for message in (BAD_TURN, GOOD_TURN, AGAIN, LABEL, LONELY):
        ledger.note(message)
    for name, found in {**SOUND, **changed}.items():
        for one in found:
            getattr(ledger, name)(one)
    ledger.end()
    return ledger.problems.lines


def test_what_is_as_it_must_be_has_no_problem() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"letter": []},
        {"letter": [letter(), letter()]},
        {"letter": [letter(reason=b"not_utf8")]},
        {"letter": [letter(value=b"{ ")]},
        {"letter": [letter(key=None)]},
        {"letter": [letter(own=[])]},
        {"letter": [letter(at=(0, 0))]},
        {"letter": [letter(), letter(1)]},
        {"letter": [letter(), letter(99)]},
        {"verdict": [verdict()]},
        {"verdict": [verdict()] * 3},
        {"verdict": [verdict(), verdict(more=b',"score":1')]},
        {"verdict": [verdict(b"turn-8"), verdict(b"turn-8")]},
        {"verdict": [verdict(), verdict(), verdict(offset=0)]},
        {"label": [Record((1, 2), b"x", b"strange")]},
        {"changelog": [[early()]]},
        {"changelog": [[pending(0), early()]]},
        {"changelog": [[pending(2), early()]]},
        {"changelog": [[pending(), early(b"label")]]},
        {"changelog": [[pending(), (b"x", b"")]]},
    ],
    ids=str,
)
def test_what_is_not_is_found(changed: dict[str, list[Any]]) -> None:
    assert problems(**changed)


def test_memory_is_compared_over_the_last_two_thirds() -> None:
    growing = [Sample(float(n), n * 1000, 100.0 + n, 90.0) for n in range(301)]
    found = memory(growing, 300_000)
    assert found.slope == pytest.approx(100.0)
    assert (found.largest, found.ratio > 1.4) == (400.0, True)
    assert memory(growing[:2], 300_000) == Memory(100.5, 100.5, 101.0, 0.0)


def test_the_page_says_what_was_broken_and_whether_memory_grew() -> None:
    results = Results(
        at="2026-01-05",
        command="c",
        processor="p",
        cores=2,
        versions={},
        load=1.0,
        seed=1,
        good=1,
        bad=2,
        messages=3,
        megabytes=1.0,
        partitions=4,
        store="memory",
        kinds={"k": 3},
        becomes={JUDGED: 1, "not_json": 2},
        seconds=1.0,
        cpu_us=50.0,
        longest_stand=1.0,
        memory=Memory(100.0, 120.0, 130.0, 5.0),
        samples=(),
        problems={"lost": 2},
        examples=(),
    )
    page = render(results)
    for part in ("Problems found: 2.", "  - 2: lost", "**not flat**", "| dead letter `not_json` | 2 |"):
        assert part in page
    assert "Problems found: none." in render(msgspec.structs.replace(results, problems={}))
