"""A collector of OpenTelemetry's, as far as a worker sees one: it takes OTLP over HTTP and keeps the spans."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Values = dict[str, Any]


class Collector:
    """`endpoint` is what OTEL_EXPORTER_OTLP_ENDPOINT is to be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._take(self.path, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Standard error is the tests'."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def _take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces", path
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        with self._lock:
            self._requests.append(request)

    def spans(self, trace_id: str | None = None) -> list[Span]:
        """Those that have come, of one trace or of all, in the order in which they began, the longer first."""
        with self._lock:
            scopes = [scope for r in self._requests for resource in r.resource_spans for scope in resource.scope_spans]
        found = [span for scope in scopes for span in scope.spans if trace_id in (None, span.trace_id.hex())]
        return sorted(found, key=lambda span: (span.start_time_unix_nano, -span.end_time_unix_nano))

    def resource(self) -> Values:
        """Attributes of what the spans are of."""
        with self._lock:
            return values(self._requests[0].resource_spans[0].resource.attributes)

    def raw(self) -> bytes:
        """All that came."""
        with self._lock:
            return b"".join(request.SerializeToString() for request in self._requests)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    collector._thread.start()
    try:
        yield collector
    finally:
        collector._server.shutdown()
        collector._server.server_close()
        collector._thread.join(5.0)


def values(attributes: Any) -> Values:
    """Attributes by name."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
