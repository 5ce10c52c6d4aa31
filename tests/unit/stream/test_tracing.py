"""Where spans go, and that they cost nothing where they go nowhere."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stream.batch_traces import Times, Told, offset_of
from stream.broker import free_port
from stream.errors import SettingsError
from stream.exporters import open_tracing
from stream.producer import Written
from stream.settings import Settings
from stream.trace_context import TraceContext, trace_context
from stream.tracing import CLOSE_SECONDS, TOLD_A_SECOND, Tracing

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TOPICS = ("turns", "verdicts", "letters")


def context(parent: bytes = PARENT) -> TraceContext:
    found = trace_context([("traceparent", parent)])
    assert found is not None
    return found


def test_a_context_is_read_as_the_recommendation_says() -> None:
    found = context()
    assert (found.trace_id, found.span_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert found.is_sampled
    assert not context(PARENT[:-2] + b"00").is_sampled
    assert context(PARENT[:-2] + b"03").is_sampled


def test_a_version_to_come_is_read_as_far_as_it_is_known_and_carried_whole() -> None:
    later = b"cc" + PARENT[2:] + b"-what-comes-next"
    assert context(later).carried == [("traceparent", later)]
    assert context(later).trace_id == context().trace_id


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"00", PARENT[:-1], PARENT + b"0", PARENT + b"-later", PARENT.upper(), b"ff" + PARENT[2:]),
        *(
            PARENT.replace(b"0af7651916cd43dd8448eb211c80319c", b"0" * 32),
            PARENT.replace(b"b7ad6b7169203331", b"0" * 16),
        ),
        *(PARENT + b"\n", b"cc" + PARENT[2:] + b"-" + b"x" * 200, None),
    ],
)
def test_what_is_no_context_is_not_there(value: bytes | None) -> None:
    assert trace_context([("traceparent", value), ("tracestate", b"a=1")]) is None


def test_nothing_of_opentelemetry_is_imported_unless_an_exporter_is_set() -> None:
    code = (
        "import sys; from stream.worker import create_worker; from stream.exporters import open_tracing\n"
        "from stream.settings import Settings\n"
        "assert open_tracing(Settings.load(), {}) is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318"},
    ],
)
def test_nothing_is_exported_unless_it_is_asked_for(environ: dict[str, str]) -> None:
    assert open_tracing(Settings.load(), environ) is None


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin is no exporter of this worker"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: this worker speaks http/protobuf",
        ),
    ],
)
def test_an_exporter_that_is_not_here_is_refused_in_one_line(environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        open_tracing(Settings.load(), environ)
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)


def test_so_many_turns_a_second_are_told_of_and_no_more() -> None:
    tracing = Tracing([], TOPICS, "group")
    allowed = [tracing.allow(TOLD_A_SECOND - 10), tracing.allow(1_000), tracing.allow(1_000)]
    assert allowed[0] == TOLD_A_SECOND - 10
    assert sum(allowed[1:]) < TOLD_A_SECOND


def test_a_collector_that_is_gone_does_not_keep_a_worker_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    tracing = open_tracing(Settings.load(), {"OTEL_TRACES_EXPORTER": "otlp"})
    assert tracing is not None
    tracing.tell(Times(1, 2, 3, 4, 5, 6), [Told(context(), 0, 7, "repeated", 9, {})])
    before = time.monotonic()
    tracing.close()
    assert time.monotonic() - before < CLOSE_SECONDS + 2.0


def test_the_service_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "moderation")
    exporter = InMemorySpanExporter()
    tracing = Tracing([exporter], TOPICS, "group")
    tracing.tell(Times(1, 2, 3, 4, 5, 6), [Told(context(), 0, 7, "repeated", 9, {})])
    tracing.close()
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["decode", "write", "send verdicts", "process turns"]
    assert spans[0].resource.attributes["service.name"] == "moderation"


def test_the_offset_of_a_verdict_is_found_in_what_was_written() -> None:
    written = [Written(10, 3), Written(20, 2)]
    assert [offset_of(written, place) for place in range(5)] == [10, 11, 12, 20, 21]
    with pytest.raises(IndexError):
        offset_of(written, 5)


def test_what_a_producer_wrote_into_its_trace_state_stands_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing([exporter], TOPICS, "group")
    found = trace_context([("traceparent", PARENT), ("tracestate", b"Some words, a=1,a=2")])
    assert found is not None
    tracing.tell(Times(1, 2, 3, 4, 5, 6), [Told(found, 0, 7, "repeated", 9, {})])
    tracing.close()
    assert len(exporter.get_finished_spans()) == 4
    assert caplog.text == ""
