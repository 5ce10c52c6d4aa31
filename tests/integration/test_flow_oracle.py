"""The offline replay of the topics agrees with the worker, and notices when it is given other topics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from ensemble import decode as decode_moments
from ensemble import encode as encode_moments
from ensemble.votes import Vote
from stream import dead_letters, projection, state
from stream.records import LabelName
from stream.settings import Settings
from support.flow import Flow, flowing, label, record_of, turn
from support.kafka import Record
from support.logs import Logs
from support.oracle import check_invariants

SAYS: tuple[LabelName, ...] = ("safe", "needs_caution", "unsafe")
TURNS = 200


@dataclass(frozen=True)
class Kept:
    """A record as aiokafka gives it, which can be made another."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, record: Any) -> Kept:
        return cls(*(getattr(record, name) for name in cls.__dataclass_fields__))


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowing(broker, tmp_path_factory.mktemp("oracle"), tenant_policies={"strict": "defensive"}) as flow:
        yield flow


@pytest.fixture(scope="module")
def told(flow: Flow) -> Logs:
    """The topics after everything that can happen to a label has happened."""

    async def tell() -> Logs:
        # Early, scored, late; twice, corrected, outvoted; for no turn; and what cannot be used.
        turns = [turn(f"t{i}", f"text {i}", conversation_id=f"c{i % 20}", tenant=tenant(i)) for i in range(TURNS)]
        await flow.labels(*(say(i, "unsafe") for i in range(0, TURNS, 20)), label("nowhere"))
        await flow.turns(*turns, *turns[:5], turn("t1", "another text", conversation_id="c1", tenant=tenant(1)))
        await flow.send(flow.names.turns, Record(b"{", b"c1"))
        await flow.labels(*(say(i, SAYS[i % 3]) for i in range(0, TURNS, 2)))
        await flow.labels(*(say(i, SAYS[(i + 1) % 3], minutes=1) for i in range(0, TURNS, 8)))
        await flow.labels(*(say(i, SAYS[(i + 1) % 3], annotator) for i in range(0, TURNS, 6) for annotator in "xy"))
        # Weights are told once a second, so the judgement does not wait for them.
        logs, _ = await flow.sound((turn.turn_id for turn in turns), also=lambda logs: bool(logs.weights))
        return Logs(**{name: [Kept.of(record) for record in records] for name, records in vars(logs).items()})

    return asyncio.run(tell())


def tenant(i: int) -> str:
    return "default" if i % 3 else "strict"


def say(i: int, says: LabelName, annotator: str = "ann", minutes: int = 0) -> Any:
    at = datetime.now(UTC) + timedelta(minutes=minutes - 10)
    return label(f"t{i}", says, annotator, conversation_id=f"c{i % 20}", tenant=tenant(i), labelled_at=at)


def test_the_replay_of_the_topics_has_the_workers_moments_to_1e_9(flow: Flow, told: Logs) -> None:
    found = check_invariants(flow.settings, told, (f"t{i}" for i in range(TURNS)))
    assert found.sound, str(found)
    assert (found.turns, found.letters) == (TURNS, 2)
    assert found.votes > TURNS / 2
    assert found.distance <= 1e-9
    assert {record.key for record in told.moments} >= {
        projection.part_key("default/user"),
        projection.part_key("strict/user"),
    }


Change = Callable[[Settings, Logs], Logs]


def last(records: list[Kept], wanted: Callable[[Kept], bool]) -> int:
    return max(index for index, record in enumerate(records) if wanted(record))


def changed(records: list[Kept], index: int, **fields: Any) -> list[Kept]:
    return [*records[:index], replace(records[index], **fields), *records[index + 1 :]]


def without_a_verdict(settings: Settings, logs: Logs) -> Logs:
    lost = logs.verdicts[-1].value
    return replace(logs, verdicts=[record for record in logs.verdicts if record.value != lost])


def with_a_verdict_that_differs(settings: Settings, logs: Logs) -> Logs:
    other = logs.verdicts[0].value.replace(b'"rounds":0', b'"rounds":1')
    return replace(logs, verdicts=[*logs.verdicts, replace(logs.verdicts[0], value=other)])


def without_a_label(settings: Settings, logs: Logs) -> Logs:
    """Nor the copies that were passed on in the search for its turn."""
    index = last(logs.labels, lambda record: b'"annotator":"x"' in (record.value or b""))
    lost = logs.labels[index].value
    return replace(logs, labels=[record for record in logs.labels if record.value != lost])


def with_a_label_that_was_never_learned(settings: Settings, logs: Logs) -> Logs:
    more = record_of(label("t3", conversation_id="c3", tenant=tenant(3)))
    source = next(record for record in logs.turns if record.key == b"c3")
    return replace(logs, labels=[*logs.labels, replace(source, topic="labels", value=more.value)])


def with_moments_learned_twice(settings: Settings, logs: Logs) -> Logs:
    index = last(logs.changelog, lambda record: record.key == b"mdefault/user")
    moments = decode_moments(logs.changelog[index].value)
    twice = encode_moments(replace(moments, total=moments.total * 2))
    return replace(logs, changelog=changed(logs.changelog, index, value=twice))


def with_moments_off_in_the_seventh_digit(settings: Settings, logs: Logs) -> Logs:
    """In both topics, so that only the replay can tell."""
    index = last(logs.changelog, lambda record: record.key == b"mdefault/user")
    where = logs.changelog[index]
    moments = decode_moments(where.value)
    off = replace(moments, expert=moments.expert * (1 + 1e-7))
    newest = last(
        logs.moments, lambda r: r.key == projection.part_key("default/user") and r.partition == where.partition
    )
    offset, _ = projection.decode_part(logs.moments[newest].value)
    return replace(
        logs,
        changelog=changed(logs.changelog, index, value=encode_moments(off)),
        moments=changed(logs.moments, newest, value=projection.encode_part(offset, off)),
    )


def with_published_moments_that_are_old(settings: Settings, logs: Logs) -> Logs:
    newest = logs.moments[last(logs.moments, lambda record: record.key == projection.part_key("default/user"))]
    said = projection.decode_part(newest.value or b"")[1]

    def is_newest(record: Kept) -> bool:
        """Also one that says the same as of another offset."""
        return (record.partition, record.key) == (newest.partition, newest.key) and encode_moments(
            projection.decode_part(record.value or b"")[1]
        ) == encode_moments(said)

    stale = [record for record in logs.moments if not is_newest(record)]
    return replace(logs, moments=stale)


def with_a_turn_decided_twice(settings: Settings, logs: Logs) -> Logs:
    index = last(logs.changelog, lambda record: (record.key or b"")[:1] == state.PENDING)
    pending = state.decode_pending(logs.changelog[index].value)
    other = state.encode(msgspec.structs.replace(pending, scored_at_ms=pending.scored_at_ms + 1))
    return replace(logs, changelog=[*logs.changelog, replace(logs.changelog[index], value=other)])


def without_a_dead_letter(settings: Settings, logs: Logs) -> Logs:
    return replace(logs, dead_letters=logs.dead_letters[1:])


def with_a_dead_letter_whose_bytes_were_touched(settings: Settings, logs: Logs) -> Logs:
    return replace(logs, dead_letters=changed(logs.dead_letters, 0, value=b"touched"))


def with_a_usable_turn_set_aside(settings: Settings, logs: Logs) -> Logs:
    good, letter = logs.turns[0], logs.dead_letters[0]
    headers = [(name, value) for name, value in letter.headers if name != dead_letters.OFFSET]
    about = (*headers, (dead_letters.OFFSET, b"%d" % good.offset), (dead_letters.PARTITION, b"%d" % good.partition))
    forged = replace(letter, key=good.key, value=good.value, headers=about)
    return replace(logs, dead_letters=[*logs.dead_letters, forged])


def without_the_early_label_of_no_turn(settings: Settings, logs: Logs) -> Logs:
    return replace(logs, changelog=[record for record in logs.changelog if b"nowhere" not in (record.key or b"")])


def with_a_vote_nobody_cast(settings: Settings, logs: Logs) -> Logs:
    index = last(logs.changelog, lambda record: (record.key or b"")[:1] == state.PENDING)
    pending = state.decode_pending(logs.changelog[index].value or b"")
    votes = {**pending.votes, "nobody": Vote(0, 1)}
    twice = state.encode(msgspec.structs.replace(pending, votes=votes))
    return replace(logs, changelog=[*logs.changelog, replace(logs.changelog[index], value=twice)])


def with_a_verdict_of_which_one_byte_is_another(settings: Settings, logs: Logs) -> Logs:
    value = bytearray(logs.verdicts[3].value or b"")
    at = value.index(b'"latency_ms":') + 13
    value[at] = ord("8") if value[at] == ord("9") else ord("9")  # a number as before
    return replace(logs, verdicts=changed(logs.verdicts, 3, value=bytes(value)))


def with_a_verdict_under_another_key(settings: Settings, logs: Logs) -> Logs:
    return replace(logs, verdicts=changed(logs.verdicts, 0, key=b"another"))


def with_a_verdict_of_no_turn(settings: Settings, logs: Logs) -> Logs:
    value = (logs.verdicts[0].value or b"").replace(b'"turn_id":"', b'"turn_id":"no')
    return replace(logs, verdicts=[*logs.verdicts, replace(logs.verdicts[0], value=value)])


def with_a_dead_letter_for_two_reasons(settings: Settings, logs: Logs) -> Logs:
    letter = logs.dead_letters[0]
    again = replace(letter, headers=(*letter.headers, (dead_letters.REASON, b"empty")))
    return replace(logs, dead_letters=[again, *logs.dead_letters])


def with_a_waiting_label_that_nobody_sent(settings: Settings, logs: Logs) -> Logs:
    value = record_of(label("t0", conversation_id="c0", tenant=tenant(0))).value or b""
    early = state.encode(state.Early(state.SCHEMA_VERSION, 1, 1, 1, 1, b"c0", value))
    waits = replace(logs.changelog[0], key=state.early_key(tenant(0), "t0", "ann"), value=early)
    return replace(logs, changelog=[*logs.changelog, waits])


def with_a_stray_record_in_the_changelog(settings: Settings, logs: Logs) -> Logs:
    return replace(logs, changelog=[*logs.changelog, replace(logs.changelog[0], key=b"?")])


def with_moments_of_nobody(settings: Settings, logs: Logs) -> Logs:
    newest = logs.moments[last(logs.moments, lambda record: record.key == projection.part_key("default/user"))]
    return replace(logs, moments=[*logs.moments, replace(newest, key=projection.baseline_key("nobody/user"))])


def with_weights_of_another_context(settings: Settings, logs: Logs) -> Logs:
    return replace(logs, weights=changed(logs.weights, 0, key=b"nobody/user"))


NOTICED: dict[Change, str] = {
    with_a_vote_nobody_cast: "must have",
    with_a_verdict_of_which_one_byte_is_another: "not what its decision says",
    with_a_verdict_under_another_key: "key of another conversation",
    with_a_verdict_of_no_turn: "was no usable turn",
    with_a_dead_letter_for_two_reasons: "different reasons",
    with_a_waiting_label_that_nobody_sent: "labels wait that nobody sent",
    with_a_stray_record_in_the_changelog: "no known kind",
    with_moments_of_nobody: "moments.v1 has a record that nobody asked for",
    with_weights_of_another_context: "weights.v1 has a record that nobody asked for",
    without_a_verdict: "no verdict",
    with_a_verdict_that_differs: "not what its decision says",
    without_a_label: "must have",
    with_a_label_that_was_never_learned: "must have",
    with_moments_learned_twice: "are off by",
    with_moments_off_in_the_seventh_digit: "are off by",
    with_published_moments_that_are_old: "differ between the changelog and moments.v1",
    with_a_turn_decided_twice: "was decided twice",
    without_a_dead_letter: "must be a dead letter",
    with_a_dead_letter_whose_bytes_were_touched: "not its source untouched",
    with_a_usable_turn_set_aside: "could be used",
    without_the_early_label_of_no_turn: "neither kept nor given up",
}


@pytest.mark.parametrize("change", NOTICED, ids=lambda change: change.__name__)
def test_the_oracle_notices_topics(flow: Flow, told: Logs, change: Change) -> None:
    found = check_invariants(flow.settings, change(flow.settings, told))
    assert any(NOTICED[change] in problem for problem in found.problems), str(found)


def test_the_oracle_misses_a_turn_that_a_producer_was_told_was_written(flow: Flow, told: Logs) -> None:
    found = check_invariants(flow.settings, told, ["t0", "lost"])
    assert found.problems == ["turn lost is not in the topic"]
