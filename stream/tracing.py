"""Spans of a turn's way from its record to its verdict, exported by OpenTelemetry where an exporter is set.

Only turns whose `traceparent` says that they are sampled have spans, and of those at most TOLD_A_SECOND: all other
turns cost nothing. A batch is told when it has ended, from the times that were noted on its way:

    process TOPIC ── decode, decide, write, send TOPIC      a child of the producer's span, in its trace
    experts                                                  one a batch, linked with the turns that it was about

Spans name topics, partitions and offsets, experts and what was decided; never a text, an id or a tenant."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from stream.batch_traces import Times, Told
from stream.state import VERSION
from stream.trace_context import TraceContext

TOLD_A_SECOND: Final = 100
"""Sampled turns of which spans are made, five each, at about 20 us a span: a hundredth of the loop's time. A producer
that samples more than that gets a part of its traces, and all of its verdicts carry their context."""
CLOSE_SECONDS: Final = 2.0
"""For the last spans to be sent when a worker ends; a collector that is gone must not keep it."""
_SYSTEM: Final = {"messaging.system": "kafka"}


class Tracing:
    """Makes the spans. `topics`: of turns, verdicts and dead letters; `group` is the consumer group."""

    def __init__(self, exporters: Sequence[SpanExporter], topics: tuple[str, str, str], group: str) -> None:
        logging.getLogger(trace.span.__name__).setLevel(logging.ERROR)  # it quotes what producers wrote
        named = Resource.create({})
        if str(named.attributes.get("service.name", "")).startswith("unknown_service"):
            named = named.merge(Resource({"service.name": "aegis-stream"}))
        # All that is begun here is sampled already: what the environment says of samplers is about roots.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=named.merge(Resource({"service.version": VERSION})), shutdown_on_exit=False
        )
        for exporter in exporters:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("aegis-stream", VERSION)
        self._turns, self._verdicts, self._letters = topics
        self._group = group
        self._allowance, self._since = float(TOLD_A_SECOND), time.monotonic()

    def allow(self, count: int) -> int:
        """Of so many sampled turns, how many are told of."""
        now = time.monotonic()
        self._allowance = min(TOLD_A_SECOND, self._allowance + TOLD_A_SECOND * (now - self._since))
        self._since = now
        allowed = min(count, int(self._allowance))
        self._allowance -= allowed
        return allowed

    def tell(self, times: Times, turns: Sequence[Told]) -> None:
        """Of a batch that has ended; `turns` are those that are told of."""
        parents = [_context(turn.context) for turn in turns]
        fresh = [Link(parent) for turn, parent in zip(turns, parents, strict=True) if turn.outcome == "judged"]
        batch = [Link(self._experts(times, fresh))] if fresh else []
        for turn, parent in zip(turns, parents, strict=True):
            self._turn(times, turn, parent, batch if turn.outcome == "judged" else [])

    def _experts(self, times: Times, links: list[Link]) -> SpanContext:
        took = {f"aegis.expert.{expert}.seconds": seconds for expert, seconds in times.experts.items()}
        span = self._tracer.start_span(
            "experts",
            Context(),
            attributes={"messaging.batch.message_count": times.asked, **took},
            links=links,
            start_time=times.decoded,
        )
        span.end(times.advised)
        return span.get_span_context()

    def _turn(self, times: Times, turn: Told, parent: SpanContext, links: list[Link]) -> None:
        span = self._tracer.start_span(
            f"process {self._turns}",
            trace.set_span_in_context(NonRecordingSpan(parent)),
            SpanKind.CONSUMER,
            attributes={
                **_about("process", self._turns, turn.partition, turn.offset),
                "messaging.consumer.group.name": self._group,
                "aegis.outcome": turn.outcome,
                **turn.about,
            },
            links=links,
            start_time=times.begun,
        )
        inside = trace.set_span_in_context(span)
        self._step("decode", inside, times.begun, times.decoded)
        if turn.outcome == "judged":
            self._step("decide", inside, times.advised, times.decided)
        if turn.sent is None:
            span.set_status(Status(StatusCode.ERROR, turn.about.get("error.type")))
            self._send(inside, self._letters, turn.partition, None, times.decided, times.written)
            span.end(times.written)
        else:
            self._step("write", inside, times.decided, times.written)
            self._send(inside, self._verdicts, turn.partition, turn.sent, times.written, times.sent)
            span.end(times.sent)

    def _step(self, name: str, inside: Context, start: int, end: int) -> None:
        self._tracer.start_span(name, inside, start_time=start).end(end)

    def _send(self, inside: Context, topic: str, partition: int, offset: int | None, start: int, end: int) -> None:
        about = _about("send", topic, partition, offset)
        self._tracer.start_span(f"send {topic}", inside, SpanKind.PRODUCER, about, start_time=start).end(end)

    def close(self) -> None:
        """Sends what is left, for at most CLOSE_SECONDS."""
        last = threading.Thread(target=self._provider.shutdown, name="spans-last", daemon=True)
        last.start()
        last.join(CLOSE_SECONDS)


def _about(operation: str, topic: str, partition: int, offset: int | None) -> dict[str, Any]:
    """Attributes by OpenTelemetry's conventions for messaging and Kafka."""
    place = {} if offset is None else {"messaging.kafka.offset": offset}
    return {
        **_SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        **place,
    }


def _context(context: TraceContext) -> SpanContext:
    return SpanContext(
        int(context.trace_id, 16),
        int(context.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(context.flags),
        trace_state=TraceState.from_header([context.state]) if context.state else None,
    )
