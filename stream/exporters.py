"""Whether spans are exported, and where to, by the variables that OpenTelemetry names.

Nothing of OpenTelemetry is imported unless one of them asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from stream.errors import SettingsError
from stream.settings import Settings
from stream.topics import TopicNames

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from stream.tracing import Tracing

EXPORTERS: Final = "OTEL_TRACES_EXPORTER"
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP: Final = "http/protobuf"


def open_tracing(settings: Settings, environ: Mapping[str, str]) -> Tracing | None:
    """Spans go where the environment says: OTEL_TRACES_EXPORTER is `otlp`, `console` or `none`, several with commas;
    not set, it is `otlp` where an endpoint is set, else none. None: nothing is exported.

    Raises SettingsError, one line, for an exporter or a protocol that is not here."""
    chosen = _chosen(environ)
    if not chosen:
        return None
    from stream.tracing import Tracing

    names = TopicNames.of(settings)
    exporters = [_exporter(name, environ) for name in chosen]
    return Tracing(exporters, (names.turns, names.verdicts, names.dead_letters), settings.app_id)


def _chosen(environ: Mapping[str, str]) -> list[str]:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    asked = environ.get(EXPORTERS, "").strip()
    if not asked:
        return ["otlp"] if any(environ.get(name) for name in ENDPOINTS) else []
    return [name.strip() for name in asked.split(",") if name.strip() not in ("", "none")]


def _exporter(name: str, environ: Mapping[str, str]) -> SpanExporter:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if name != "otlp":
        raise SettingsError(f"{EXPORTERS}={name} is no exporter of this worker: use otlp, console or none")
    for variable in PROTOCOLS:
        if environ.get(variable, HTTP) != HTTP:
            raise SettingsError(
                f"{variable}={environ[variable]}: this worker speaks {HTTP}; a collector's port is 4318"
            )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
