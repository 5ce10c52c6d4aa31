"""No text and no id of a message comes into a log, a metric or an exception, whatever is wrong with it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from stream.broker import free_port
from stream.dead_letters import DETAIL, OFFSET, PARTITION, TOPIC
from stream.routing import TRIED
from stream.topics import BROKER_MESSAGE_BYTES
from support.flow import Flow, flowing, label, record_of, turn, unique
from support.kafka import Record
from support.worker_process import FAKE

CANARY = "canary-of-a-persons-text"
RAISING = """
import runpy, sys
from experts import fakes
def advise(self, passages):
    raise ValueError(f"it quotes what it met: {passages}")
fakes.CrashingExpert.advise = advise
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A worker one of whose experts raises with the texts in its message."""


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("canary")
    script = folder / "raising.py"
    script.write_text(RAISING)
    command = (FAKE[0], str(script), *FAKE[1:])
    experts = {"AEGIS_TEST_EXPERTS": "instant,crashing,nan"}
    with flowing(broker, folder, command, experts, http_port=free_port(), log_level="debug", label_horizon=2.0) as flow:
        yield flow


def message(of: Any, **fields: Any) -> Record:
    """With the canary in its key and in its headers too."""
    value = {**json.loads(record_of(of).value or b""), **fields}
    return Record(json.dumps(value).encode(), CANARY.encode(), [("aegis-reason", CANARY.encode()), (CANARY, b"x")])


def good(name: str) -> Any:
    words = {"tenant": CANARY, "conversation_id": CANARY, "metadata": {CANARY: CANARY}}
    return turn(f"{CANARY}-{name}", CANARY, **words)


def place(source: Any) -> tuple[str, str, str]:
    """Of a message, as its dead letter tells it."""
    return source.topic, str(source.partition), str(source.offset)


def answer_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        text: str = answer.read().decode()
        return text


WRONG: list[dict[str, Any]] = [
    {"role": CANARY},
    {"sent_at": CANARY},
    {"text": {CANARY: CANARY}},
    {"text": f"\ud800{CANARY}"},
    {"text": CANARY * 10_000},
    {"tenant": CANARY * 10},
    {"history": [{"role": CANARY, "text": CANARY}]},
    {"metadata": {CANARY: [CANARY]}},
    {"metadata": {CANARY: CANARY * 1_000}},
]


async def test_hostile_turns_and_labels_leave_no_word_of_theirs(flow: Flow) -> None:
    one, other = good("one"), good("other")
    said = [label(t.turn_id, tenant=CANARY, conversation_id=CANARY, annotator=CANARY) for t in (one, other)]
    bad = [message(good(f"bad{number}"), **fields) for number, fields in enumerate(WRONG)]
    cut = Record((record_of(one).value or b"")[:-9], CANARY.encode())
    reused = message(one, text=f"{CANARY} again")
    turns = await flow.send(flow.names.turns, message(one), message(other), cut, reused, *bad)
    labels = await flow.send(
        flow.names.labels,
        *(message(one_said) for one_said in said),
        message(label(f"{CANARY}-nowhere", tenant=CANARY)),
        Record(record_of(said[0]).value, CANARY.encode(), [(TRIED, CANARY.encode())], partition=3),
        message(said[0], label=CANARY),
        message(said[0], source={"topic": CANARY, "partition": CANARY, "offset": CANARY}),
        message(said[0], categories=[CANARY * 4_000]),
    )
    expected = {place(source) for source in (*turns[2:], *labels[-3:])}
    travelled = 1  # the label of no turn, which was forwarded: its dead letter names the last place where it stood

    def details(records: list[Any]) -> dict[tuple[str, str, str], str]:
        headers = [{name: value.decode() for name, value in record.headers} for record in records]
        return {(h[TOPIC], h[PARTITION], h[OFFSET]): h[DETAIL] for h in headers}

    def complete(records: list[Any]) -> bool:
        return expected <= details(records).keys() and len(details(records)) == len(expected) + travelled

    letters = await flow.until(flow.names.dead_letters, complete)
    assert [detail for detail in details(letters).values() if CANARY in detail] == []
    context = f"{CANARY}/user"
    await flow.weights(context, lambda weights: weights.rounds == 2)
    address = f"http://127.0.0.1:{flow.settings.http_port}"
    answers = [await asyncio.to_thread(answer_of, f"{address}/{path}") for path in ("metrics", "readyz", "healthz")]
    assert 'status="error"' in answers[0]  # the expert that quotes what it met has raised
    assert [answer for answer in answers if CANARY in answer] == []
    log = flow.worker.log.read_text(errors="replace")
    assert "worker_ready" in log
    assert [line for line in log.splitlines() if CANARY in line] == []


ROOM = BROKER_MESSAGE_BYTES - 2_000
"""For headers in one message, beside a small value."""


async def test_a_message_that_is_all_headers_is_set_aside_with_them(flow: Flow) -> None:
    (source,) = await flow.send(flow.names.turns, Record(b"{", b"k", [("x", b"y" * ROOM)], partition=0))
    assert len(dict((await flow.letter(source)).record.headers)["x"]) == ROOM


async def test_a_label_that_says_it_was_everywhere_is_looked_for_all_the_same(flow: Flow) -> None:
    """Its list of partitions would be forwarded one longer than it came, which the broker would refuse for ever."""
    scored = turn(unique("everywhere"))
    await flow.turns(scored)
    (verdict,) = await flow.verdicts(scored.turn_id)
    value = record_of(label(scored.turn_id)).value
    room = BROKER_MESSAGE_BYTES - len(value or b"") - 110  # what a batch and a record take besides
    everywhere = ",".join(map(str, range(100_000, 100_000 + room // 7))).encode()[: room // 7 * 7 - 1].ljust(room, b"1")
    elsewhere = (verdict.source.partition + 1) % flow.settings.partitions
    await flow.send(flow.names.labels, Record(value, None, [(TRIED, everywhere)], partition=elsewhere))
    await flow.pending(scored.turn_id, lambda pending: bool(pending.votes))
