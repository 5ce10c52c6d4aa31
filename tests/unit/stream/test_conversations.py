"""What is remembered of a conversation: its last turns in order, each once, within a budget and an hour."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given as examples
from hypothesis import strategies as st

from stream import state
from stream.conversations import HEAD_BYTES, TURN_BYTES, History, Memory, Noted, together
from stream.errors import StateError
from stream.producer import MAX_BATCH_BYTES
from stream.records import Role, Turn, Utterance
from stream.requests import Requests
from stream.settings import Settings
from support.partitions import Owned

SENT = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3_600_000
NOON = 50 * HOUR
ROLES: tuple[Role, ...] = ("user", "assistant")


def turn(number: int, text: str = "", **fields: str) -> Turn:
    common = {"conversation_id": "c", "role": ROLES[number % 2], "text": text or f"text {number}", "sent_at": SENT}
    return msgspec.convert({"turn_id": f"t{number}", **common, **fields}, Turn)


class Talk:
    """Turns told one after the other, each in a batch of its own, with what is noted written."""

    def __init__(self, **settings: object) -> None:
        self.settings = Settings.load(**settings)
        self.owned = Owned()

    def batch(self, now_ms: int = NOON) -> Memory:
        return Memory(self.settings, now_ms, Requests())

    async def tell(self, turn: Turn, offset: int, at_ms: int = NOON) -> History:
        history, noted = self.batch(at_ms).recall(self.owned.partition, turn, offset, at_ms)
        if noted is not None:
            self.owned.partition.write({noted.key: state.encode(noted.conversation)})
            await self.owned.log.acknowledge()
        return history

    async def tell_all(self, *turns: Turn) -> None:
        for offset, told in enumerate(turns):
            await self.tell(told, offset)

    def kept(self, tenant: str = "default", conversation: str = "c") -> state.Conversation | None:
        value = self.owned.partition.get(state.conversation_key(tenant, conversation))
        return state.decode_conversation(value) if value is not None else None


async def test_a_turn_is_given_the_turns_before_it_oldest_first() -> None:
    talk = Talk()
    assert await talk.tell(turn(0), 0) == ()
    assert await talk.tell(turn(1), 4) == (("user", "text 0"),)
    assert await talk.tell(turn(2), 9) == (("user", "text 0"), ("assistant", "text 1"))
    kept = talk.kept()
    assert kept is not None
    assert kept.offsets == (0, 4, 9)


async def test_turns_of_one_batch_see_each_other_in_order_before_anything_is_written() -> None:
    talk = Talk()
    memory, partition = talk.batch(), talk.owned.partition
    given = [memory.recall(partition, turn(n), n, NOON)[0] for n in range(3)]
    assert given == [(), (("user", "text 0"),), (("user", "text 0"), ("assistant", "text 1"))]


async def test_history_that_the_producer_sent_is_given_as_it_is_and_its_turn_is_remembered_all_the_same() -> None:
    talk = Talk()
    await talk.tell(turn(0), 0)
    sent = msgspec.structs.replace(turn(1), history=(Utterance("system", "sent"),))
    assert await talk.tell(sent, 1) == (("system", "sent"),)
    assert await talk.tell(turn(2), 2) == (("user", "text 0"), ("assistant", "text 1"))


async def test_tenants_conversations_and_partitions_know_nothing_of_one_another() -> None:
    talk, elsewhere = Talk(), Owned(1)
    await talk.tell(turn(0), 0)
    assert await talk.tell(turn(1, tenant="acme"), 1) == ()
    assert await talk.tell(turn(2, conversation_id="d"), 2) == ()
    memory = talk.batch()
    assert memory.recall(talk.owned.partition, turn(3), 3, NOON)[0] == (("user", "text 0"),)
    assert memory.recall(elsewhere.partition, turn(4), 3, NOON)[0] == ()


async def test_beyond_the_budget_the_oldest_turns_go_whole() -> None:
    talk = Talk(conversation_tokens=64)
    texts = [letter * 30 for letter in "abcdef"]
    await talk.tell_all(*(turn(n, text) for n, text in enumerate(texts)))
    kept = talk.kept()
    assert kept is not None
    assert [text for _, text in kept.said] == texts[2:]
    assert (kept.offsets, kept.size) == ((2, 3, 4, 5), 4 * (30 + TURN_BYTES))


@pytest.mark.parametrize(("letter", "most"), [("x", 128 - TURN_BYTES), ("ä", (128 - TURN_BYTES) // 2), ("😀", 24)])
async def test_a_long_turn_keeps_its_beginning_and_leaves_room_for_the_one_before(letter: str, most: int) -> None:
    talk = Talk(conversation_tokens=64)
    await talk.tell_all(turn(0, letter * 1000), turn(1, letter * 1001))
    kept = talk.kept()
    assert kept is not None
    assert kept.said == (("user", letter * most), ("assistant", letter * most))


async def test_a_character_is_never_cut_in_two() -> None:
    talk = Talk(conversation_tokens=64)
    await talk.tell(turn(0, "x" + "ä" * 100), 0)
    kept = talk.kept()
    assert kept is not None
    assert kept.said == (("user", "x" + "ä" * 47),)


async def test_a_smaller_budget_holds_from_the_next_turn_on() -> None:
    talk = Talk()
    await talk.tell_all(*(turn(n, "x" * 60) for n in range(8)))
    talk.settings = Settings.load(conversation_tokens=64)
    await talk.tell(turn(8, "x" * 60), 8)
    kept = talk.kept()
    assert kept is not None
    assert (kept.offsets, kept.size) == ((7, 8), 2 * (60 + TURN_BYTES))


async def test_a_conversation_begins_anew_when_nothing_was_said_for_longer_than_the_idle_time() -> None:
    talk = Talk(conversation_idle="1h")
    await talk.tell(turn(0), 0)
    assert await talk.tell(turn(1), 1, NOON + HOUR) == (("user", "text 0"),)
    assert await talk.tell(turn(2), 2, NOON + 2 * HOUR + 1) == ()
    assert await talk.tell(turn(3), 3, NOON + 2 * HOUR + 2) == (("user", "text 2"),)


async def test_a_timestamp_that_jumps_back_forgets_nothing() -> None:
    talk = Talk()
    await talk.tell(turn(0), 0)
    assert await talk.tell(turn(1), 1, NOON - 9 * HOUR) == (("user", "text 0"),)
    assert len(await talk.tell(turn(2), 2, NOON)) == 2


async def test_a_turn_whose_decision_was_forgotten_is_given_what_was_before_it_and_counts_no_more() -> None:
    talk = Talk()
    await talk.tell_all(*(turn(n) for n in range(4)))
    before = talk.kept()
    assert await talk.tell(turn(2), 2) == (("user", "text 0"), ("assistant", "text 1"))
    assert await talk.tell(turn(0), 0) == ()
    assert talk.kept() == before


async def test_switched_off_nothing_is_remembered_and_only_what_was_sent_is_given() -> None:
    talk = Talk()
    await talk.tell(turn(0), 0)
    talk.settings, before = Settings.load(conversations="off"), talk.kept()
    assert await talk.tell(turn(1), 1) == ()
    sent = msgspec.structs.replace(turn(2), history=(Utterance("user", "sent"),))
    assert await talk.tell(sent, 2) == (("user", "sent"),)
    assert talk.kept() == before


@examples(st.lists(st.tuples(st.sampled_from(ROLES), st.text(min_size=1, max_size=300)), min_size=1, max_size=30))
def test_a_record_takes_no_more_than_its_size_and_never_more_than_the_budget(said: list[tuple[Role, str]]) -> None:
    settings, partition = Settings.load(conversation_tokens=100), Owned().partition
    memory = Memory(settings, 2**41, Requests())
    for number, (role, text) in enumerate(said):
        told = msgspec.structs.replace(turn(number), role=role, text=text)
        _, noted = memory.recall(partition, told, 2**40 + number, 2**41)
        assert noted is not None
        assert noted.conversation.size == sum(len(t.encode()) + TURN_BYTES for _, t in noted.conversation.said) <= 400
        assert len(state.encode(noted.conversation)) <= noted.conversation.size + HEAD_BYTES


def decided(count: int, conversations: int, text: str, pending: bytes) -> list[tuple[bytes, bytes, Noted | None]]:
    """Turns of some conversations in turns, with all that is written of each."""
    memory, partition = Memory(Settings.load(conversation_tokens=32_000), NOON, Requests()), Owned().partition
    told = []
    for n in range(count):
        one = turn(n, text, conversation_id=f"c{n % conversations}", tenant="ä" * 128)
        told.append((state.pending_key(one.tenant, f"{n}"), pending, memory.recall(partition, one, n, NOON)[1]))
    return told


def test_whatever_of_its_writes_is_lost_a_turn_is_decided_if_and_only_if_it_is_counted() -> None:
    turns = decided(200, 7, "x" * 20_000, b"p" * 5_000)
    writes = list(together(turns))
    assert len(writes) > 2
    stored: dict[bytes, bytes | None] = {}
    for items in writes:
        stored |= items
        done = [n for n, (key, _, _) in enumerate(turns) if key in stored]
        for conversation in range(7):
            value = stored[state.conversation_key("ä" * 128, f"c{conversation}")]
            assert value is not None
            offsets = state.decode_conversation(value).offsets
            assert offsets == tuple(n for n in done if n % 7 == conversation)[-len(offsets) :]
    assert len(done) == 200


def test_each_write_fits_one_record_batch_even_with_the_largest_conversations() -> None:
    writes = list(together(decided(40, 40, "x" * 64_000, b"p" * 10_000)))
    assert len(writes) > 1
    for items in writes:
        builder = BatchBuilder(MAX_BATCH_BYTES, 0, is_transactional=False, key_serializer=None, value_serializer=None)
        assert all(builder.append(timestamp=NOON, key=k, value=v, headers=[]) is not None for k, v in items.items())


def test_nothing_decided_is_nothing_written() -> None:
    assert list(together([])) == []


def test_turns_without_conversations_are_one_write() -> None:
    assert list(together([(b"p1", b"a", None), (b"p2", b"b", None)])) == [{b"p1": b"a", b"p2": b"b"}]


def test_a_conversation_that_cannot_be_read_is_refused_without_a_word_of_it() -> None:
    broken = msgspec.msgpack.encode([1, 0, 0, 0, ["a secret"], [["user", "another secret"]]])
    with pytest.raises(StateError, match="was not written by this application") as refused:
        state.decode_conversation(broken)
    assert "secret" not in str(refused.value)
    newer = msgspec.msgpack.encode([2, 0, 0, 0, [1], [["user", "a secret"]]])
    for decode in (state.decode_conversation, state.decode_conversation_age):
        with pytest.raises(StateError, match="schema version 2"):
            decode(newer)
