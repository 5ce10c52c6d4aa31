"""Dead letters sent again to a real worker: what was mended is judged and learned once, what was not comes back."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stream import broker as embedded
from stream import projection
from stream.__main__ import cli
from stream.dead_letters import REASON
from stream.settings import Settings
from stream.topics import TopicNames
from support.flow import Flow, label, made, record_of, turn, unique, votes_of
from support.hostile import with_header_name
from support.kafka import Record, eventually
from support.logs import read_all
from support.worker_process import WorkerProcess, environment

UNSAFE = 2
SMALL, LARGE = 200, 10_000


@contextmanager
def working(settings: Settings, log: Path) -> Iterator[Flow]:
    with WorkerProcess(settings, log) as worker:
        worker.ready()
        yield Flow(settings, TopicNames.of(settings), worker)


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("letters")
    own = {"label_horizon": 2.0, "store": "memory", "max_text_bytes": SMALL, "http_port": embedded.free_port()}
    with made(broker, folder, **own) as settings, working(settings, folder / "worker.log") as flow:
        yield flow


def run(flow: Flow, *arguments: str, text: bytes | None = None) -> Result:
    result = CliRunner(env=environment(flow.settings)).invoke(cli, ["dead-letters", *arguments], input=text)
    assert result.exit_code == 0, result.output
    return result


def letters(flow: Flow, source: Any) -> list[dict[str, Any]]:
    """What is told of the dead letters of one message, by what `send` returned for it."""
    return listed(flow, "--source", f"{source.topic}:{source.partition}:{source.offset}")


def listed(flow: Flow, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(flow, "list", "--json", *options).stdout.splitlines()]


def replayed(flow: Flow, topic: str, outcome: str) -> float:
    """The worker's own count."""
    with urllib.request.urlopen(f"http://127.0.0.1:{flow.settings.http_port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    name = f'aegis_replayed_total{{outcome="{outcome}",topic="{topic}"}} '
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


def counted(flow: Flow, topic: str, outcome: str) -> Callable[[], float]:
    """How often more than now."""
    before = replayed(flow, topic, outcome)
    return lambda: replayed(flow, topic, outcome) - before


def test_a_turn_too_large_is_judged_once_the_limit_is_raised_and_replaying_it_twice_is_harmless(
    broker: str, tmp_path: Path
) -> None:
    """Its verdict is published again, the same bytes."""
    with made(broker, tmp_path, store="memory", max_text_bytes=SMALL) as settings:
        with working(settings, tmp_path / "before.log") as flow:
            (source,) = asyncio.run(flow.turns(turn("large", "x" * (SMALL + 1))))
            assert asyncio.run(flow.letter(source)).reason == "text_too_large"
        raised = settings.model_copy(update={"max_text_bytes": LARGE})
        with working(raised, tmp_path / "after.log") as flow:
            for _ in range(2):
                run(flow, "replay", "--reason", "text_too_large")
            verdicts = asyncio.run(flow.until(flow.names.verdicts, lambda found: len(found) == 2))
            assert verdicts[0].value == verdicts[1].value
            assert json.loads(verdicts[0].value)["turn_id"] == "large"


async def test_a_mended_message_is_judged(flow: Flow) -> None:
    good = turn(unique("mended"))
    (source,) = await flow.send(flow.names.turns, Record(b"{", good.conversation_id.encode()))
    await flow.letter(source)
    judged = counted(flow, "turns", "judged")
    (told,) = await asyncio.to_thread(letters, flow, source)
    await asyncio.to_thread(lambda: run(flow, "replay", told["place"], "--value", "-", text=record_of(good).value))
    await flow.verdicts(good.turn_id)
    assert judged() == 1


async def test_a_label_whose_turn_came_too_late_is_learned_once_however_often_it_is_replayed(flow: Flow) -> None:
    late = label(unique("late"), conversation_id="late")
    await flow.labels(late)
    found = await flow.until(
        flow.names.dead_letters, lambda records: any(r.value == record_of(late).value for r in records)
    )
    letter = next(record for record in found if record.value == record_of(late).value)
    assert dict(letter.headers)[REASON] == b"turn_not_found"
    await flow.turns(turn(late.turn_id, conversation_id="late"))
    await flow.verdicts(late.turn_id)
    learned, repeated = counted(flow, "labels", "learned"), counted(flow, "labels", "repeated")
    place = f"{letter.partition}:{letter.offset}"
    await asyncio.to_thread(run, flow, "replay", place)
    await asyncio.to_thread(run, flow, "replay", place)
    await asyncio.to_thread(eventually, lambda: learned() + repeated() == 2, 30.0, "both replays")
    assert (learned(), repeated()) == (1, 1)
    pending = await flow.pending(late.turn_id, lambda pending: bool(pending.votes))
    assert votes_of(pending) == {"ann": UNSAFE}
    assert pending.votes["ann"].at_ms <= letter.timestamp


async def test_what_fails_again_is_a_dead_letter_once_more_with_how_often_it_was_sent(flow: Flow) -> None:
    key = unique("again").encode()
    await flow.send(flow.names.turns, Record(b"[" + key, key, [("trace", b"1")]))
    for count in range(3):
        found = await flow.until(
            flow.names.dead_letters,
            lambda records, n=count: sum(r.key == key for r in records) == n + 1,  # type: ignore[misc]
        )
        newest = [record for record in found if record.key == key][-1]
        place = f"{newest.partition}:{newest.offset}"
        told = {one["place"]: one["replays"] for one in await asyncio.to_thread(listed, flow)}
        assert told[place] == count
        assert newest.headers[0] == ("trace", b"1")
        rejected = counted(flow, "turns", "rejected")
        await asyncio.to_thread(run, flow, "replay", place)
        await asyncio.to_thread(eventually, rejected, 30.0, "the replay")
    shown = await asyncio.to_thread(run, flow, "show", place)
    assert "aegis-replays" in shown.stdout


async def test_a_label_that_finds_no_turn_again_keeps_its_count_through_its_search(flow: Flow) -> None:
    lonely = label(unique("lonely"))

    async def newest(count: int) -> Any:
        value = record_of(lonely).value
        found = await flow.until(
            flow.names.dead_letters, lambda records: sum(r.value == value for r in records) == count
        )
        return [record for record in found if record.value == value][-1]

    await flow.labels(lonely)
    first = await newest(1)
    await asyncio.to_thread(run, flow, "replay", f"{first.partition}:{first.offset}")
    second = await newest(2)
    told = {one["place"]: one for one in await asyncio.to_thread(listed, flow, "--reason", "turn_not_found")}
    assert told[f"{second.partition}:{second.offset}"]["replays"] == 1


async def test_a_header_name_that_is_not_utf8_stops_no_partition(flow: Flow) -> None:
    odd, behind = turn(unique("odd")), turn(unique("behind"))
    value = record_of(odd).value or b""
    await with_header_name(flow.settings.broker, flow.names.turns, b"\xff\xfe\xc3(", value, partition=1)
    source = await with_header_name(flow.settings.broker, flow.names.labels, b"\xff\xfe\xc3(", b"{", partition=1)
    await flow.send(flow.names.turns, Record(record_of(behind).value, partition=1))
    await flow.verdicts(odd.turn_id, behind.turn_id)
    assert (await flow.letter(source)).record.headers[0] == (r"\xff\xfe\xc3(", b"x")


async def test_records_that_no_worker_wrote_stop_none(flow: Flow) -> None:
    """In moments.v1 and experts.v1: they are left out, and told."""
    deep, names = b'{"a":' * 100_000, flow.names
    await flow.send(names.experts, Record(deep, b"toxic"), Record(b"\xff", b"\xff"), Record(b'{"mode":1}', b"expert0"))
    keys = (b"m\xff", b"x", b"c", projection.part_key("acme/user"), projection.prior_key("acme/user"))
    await flow.send(names.moments, *(Record(b"\x91" * 100_000, key, partition=0) for key in keys))
    eventually(lambda: len(flow.worker.events("foreign_record")) == len(keys), awaited="the foreign records")
    good = turn(unique("after"))
    await flow.turns(good)
    await flow.verdicts(good.turn_id)
    assert await read_all(flow.settings.broker, names.moments)
    flow.worker.assert_no_traceback()
