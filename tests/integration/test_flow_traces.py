"""A turn's trace goes on to its verdict or its dead letter, and its spans to a collector."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import pytest
from click.testing import CliRunner
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from stream import broker as embedded
from stream.__main__ import cli
from stream.records import Verdict
from stream.settings import PREFIX
from stream.topics import TopicNames
from support.collector import Collector, collecting, values
from support.flow import Flow, flowing, made, record_of, turn, unique
from support.kafka import Record, eventually
from support.worker_process import WorkerProcess, environment

TEXT = "a text that no span may hold"
STATE = ("tracestate", b"vendor=opaque,other=1")
_verdict = msgspec.json.Decoder(Verdict)


class Parent:
    """A producer's span."""

    def __init__(self, sampled: bool = True) -> None:
        self.trace_id, self.span_id = uuid.uuid4().hex, uuid.uuid4().hex[:16]
        self.header = ("traceparent", f"00-{self.trace_id}-{self.span_id}-{'01' if sampled else '00'}".encode())


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Flow]:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    folder = tmp_path_factory.mktemp("traces")
    with flowing(broker, folder, environ=environ, store="memory", http_port=embedded.free_port()) as flow:
        yield flow


def sent(turn_id: str, *headers: tuple[str, bytes], text: str = TEXT) -> Record:
    return record_of(turn(turn_id, text), headers=headers)


async def published(flow: Flow, turn_id: str, count: int = 1) -> list[Any]:
    """The records of a turn's verdicts, once there are so many."""

    def mine(records: list[Any]) -> list[Any]:
        return [record for record in records if _verdict.decode(record.value).turn_id == turn_id]

    return mine(await flow.until(flow.names.verdicts, lambda records: len(mine(records)) >= count))


def spans_of(collector: Collector, parent: Parent, count: int) -> dict[str, Span]:
    """The spans of a trace by their names, once there are so many."""
    found = eventually(
        lambda: spans if len(spans := collector.spans(parent.trace_id)) >= count else None, awaited="the spans"
    )
    assert found is not None
    assert len(found) == count
    return {span.name: span for span in found}


async def test_a_verdict_carries_the_context_of_its_turn_and_the_spans_lead_to_it(
    flow: Flow, collector: Collector
) -> None:
    parent, turn_id = Parent(), unique("traced")
    other = ("content-type", b"application/json")
    (source,) = await flow.send(flow.names.turns, sent(turn_id, other, parent.header, STATE))
    (verdict,) = await published(flow, turn_id)
    assert list(verdict.headers) == [parent.header, STATE]

    turns, verdicts = flow.names.turns, flow.names.verdicts
    spans = await asyncio.to_thread(spans_of, collector, parent, 5)
    assert list(spans) == [f"process {turns}", "decode", "decide", "write", f"send {verdicts}"]
    process, send = spans[f"process {turns}"], spans[f"send {verdicts}"]
    assert process.parent_span_id.hex() == parent.span_id
    assert process.trace_state == STATE[1].decode()
    inner = [span for name, span in spans.items() if name != process.name]
    assert {span.parent_span_id for span in inner} == {process.span_id}
    assert (process.kind, send.kind) == (Span.SPAN_KIND_CONSUMER, Span.SPAN_KIND_PRODUCER)
    about = values(process.attributes)
    decided = _verdict.decode(verdict.value)
    assert about == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": turns,
        "messaging.destination.partition.id": str(source.partition),
        "messaging.kafka.offset": source.offset,
        "messaging.consumer.group.name": flow.settings.app_id,
        "aegis.outcome": "judged",
        "aegis.verdict.label": decided.label,
        "aegis.policy": decided.policy,
    }
    sending = values(send.attributes)
    assert (sending["messaging.destination.name"], sending["messaging.operation.type"]) == (verdicts, "send")
    assert sending["messaging.kafka.offset"] == verdict.offset
    ends = [process.start_time_unix_nano, *(span.end_time_unix_nano for span in spans.values() if span is not process)]
    assert ends == sorted(ends)
    assert process.end_time_unix_nano == send.end_time_unix_nano
    assert collector.resource()["service.name"] == "aegis-stream"


async def test_the_experts_of_a_batch_are_one_span_linked_with_its_turns(flow: Flow, collector: Collector) -> None:
    parents = [Parent() for _ in range(3)]
    await flow.send(flow.names.turns, *(sent(unique("linked"), parent.header) for parent in parents))
    for parent in parents:
        spans = await asyncio.to_thread(spans_of, collector, parent, 5)
        [link] = spans[f"process {flow.names.turns}"].links
        [experts] = [s for s in collector.spans(link.trace_id.hex()) if s.span_id == link.span_id]
        assert experts.name == "experts"
        assert parent.span_id in [link.span_id.hex() for link in experts.links]
        about = values(experts.attributes)
        assert about["messaging.batch.message_count"] >= len(experts.links)
        assert [name for name in about if name.startswith("aegis.expert.expert0@")]


async def test_what_is_not_sampled_is_carried_and_costs_no_span(flow: Flow, collector: Collector) -> None:
    unsampled, later = Parent(sampled=False), Parent()
    first, second = unique("unsampled"), unique("sampled")
    await flow.send(flow.names.turns, sent(first, unsampled.header, STATE), sent(second, later.header))
    (verdict,) = await published(flow, first)
    assert list(verdict.headers) == [unsampled.header, STATE]
    await asyncio.to_thread(spans_of, collector, later, 5)  # what was begun before has come by then
    assert collector.spans(unsampled.trace_id) == []


async def test_a_turn_without_a_context_or_with_a_broken_one_gets_none(flow: Flow) -> None:
    parent = Parent()
    broken = [
        [],
        [STATE],
        [("traceparent", b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01")],
        [("traceparent", parent.header[1].upper()), STATE],
        [("traceparent", parent.header[1] + b"-x")],
        [parent.header, Parent().header],
        [("traceparent", b"\xff" * 55)],
    ]
    ids = [unique("broken") for _ in broken]
    await flow.send(flow.names.turns, *(sent(i, *headers) for i, headers in zip(ids, broken, strict=True)))
    for turn_id in ids:
        (verdict,) = await published(flow, turn_id)
        assert list(verdict.headers) == []


async def test_a_state_that_is_too_long_is_left_out_and_the_parent_stays(flow: Flow) -> None:
    parent, turn_id = Parent(), unique("long")
    await flow.send(flow.names.turns, sent(turn_id, parent.header, ("tracestate", b"a=" + b"x" * 511)))
    (verdict,) = await published(flow, turn_id)
    assert list(verdict.headers) == [parent.header]


async def test_a_dead_letter_carries_the_context_and_its_span_is_an_error(flow: Flow, collector: Collector) -> None:
    parent = Parent()
    (source,) = await flow.send(flow.names.turns, Record(b'{"turn_id": 5}', b"k", [parent.header, STATE]))
    letter = await flow.letter(source)
    assert list(letter.record.headers)[:2] == [parent.header, STATE]
    spans = await asyncio.to_thread(spans_of, collector, parent, 3)
    process = spans[f"process {flow.names.turns}"]
    assert process.status.code == Status.STATUS_CODE_ERROR
    assert values(process.attributes)["error.type"] == letter.reason
    sending = values(spans[f"send {flow.names.dead_letters}"].attributes)
    assert sending["messaging.destination.partition.id"] == str(letter.record.partition)


async def test_a_turn_sent_again_gets_the_same_verdict_under_the_context_that_asked_again(
    flow: Flow, collector: Collector
) -> None:
    first, again, turn_id = Parent(), Parent(), unique("again")
    await flow.send(flow.names.turns, sent(turn_id, first.header))
    await published(flow, turn_id)
    await flow.send(flow.names.turns, sent(turn_id, again.header))
    verdicts = await published(flow, turn_id, 2)
    assert verdicts[0].value == verdicts[1].value
    assert [list(verdict.headers) for verdict in verdicts] == [[first.header], [again.header]]
    spans = await asyncio.to_thread(spans_of, collector, again, 4)
    assert values(spans[f"process {flow.names.turns}"].attributes)["aegis.outcome"] == "repeated"


async def test_no_span_holds_a_text_or_an_id_and_exemplars_lead_to_a_trace(flow: Flow, collector: Collector) -> None:
    parent, turn_id = Parent(), unique("private")
    record = sent(turn_id, parent.header)
    await flow.send(flow.names.turns, record)
    await asyncio.to_thread(spans_of, collector, parent, 5)
    raw = collector.raw()
    assert [word for word in (TEXT.encode(), turn_id.encode(), record.key or b"?", b"default/") if word in raw] == []
    asked = Request(
        f"http://127.0.0.1:{flow.settings.http_port}/metrics", headers={"Accept": "application/openmetrics-text"}
    )
    with await asyncio.to_thread(urlopen, asked) as answer:
        lines = answer.read().decode().splitlines()
    for name in ("aegis_latency_seconds", "aegis_batch_seconds", "aegis_expert_seconds"):
        assert [line for line in lines if line.startswith(f"{name}_bucket") and parent.trace_id in line], name


def test_a_turn_read_again_gets_the_same_headers_whether_spans_are_exported_or_not(broker: str, tmp_path: Path) -> None:
    """The group is sent back to the beginning, and a worker without an exporter reads what one with one had judged."""
    parents = [Parent(), Parent(sampled=False)]
    with made(broker, tmp_path, partitions=1) as settings, collecting() as collector:
        names = TopicNames.of(settings)
        exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        with WorkerProcess(settings, tmp_path / "worker.log", **exporting) as worker:
            flow = Flow(settings, names, worker.ready())
            records = [sent(f"t{i}", parent.header, STATE) for i, parent in enumerate(parents)]
            asyncio.run(flow.send(names.turns, *records, sent("t2")))
            asyncio.run(flow.until(names.verdicts, lambda found: len(found) == 3))
        ours = {name: value for name, value in environment(settings).items() if name.startswith(PREFIX)}
        done = CliRunner().invoke(cli, ["topics", "seek", "--to", "earliest", "--all"], env=ours)
        assert done.exit_code == 0, done.output
        worker.configure(settings)
        with worker:
            worker.ready()
            verdicts = asyncio.run(flow.until(names.verdicts, lambda found: len(found) == 6))
        told = [(verdict.key, verdict.value, list(verdict.headers)) for verdict in verdicts]
        assert told[:3] == told[3:]
        assert [headers for _, _, headers in told[:3]] == [*([parent.header, STATE] for parent in parents), []]
        assert len(collector.spans(parents[0].trace_id)) == 5, "the last spans are sent when the worker ends"
