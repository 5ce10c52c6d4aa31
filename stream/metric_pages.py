"""The list of all metrics, generated from the code: `python -m stream.metric_pages` writes deploy/docs/metrics.md, and
a test fails when what stands there is not what the code says."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from stream.gateway.counts import Counts
from stream.metrics import Metrics

PAGE: Final = Path(__file__).parents[1] / "deploy" / "docs" / "metrics.md"
LABELS: Final = {
    "label": "a verdict's: `safe`, `needs_caution` or `unsafe`",
    "reason": "why a message was set aside, or a mode could not be followed: of a closed set",
    "topic": "`turns` or `labels`",
    "outcome": "what became of a message: of a closed set",
    "partition": "its number; only those that this worker has now",
    "expert": "`name@version`",
    "status": "`timeout`, `error`, `abstained`",
    "trunk": "the name of what several experts share",
    "mode": "`enabled` or `shadow`",
    "role": "`user`, `assistant` or `system`",
    "direction": "`worse` or `better`",
    "condition": "one of those in [operating workers](operations.md#health-and-readiness)",
    "version": "of this application",
}
HEAD: Final = """# Metrics

Every metric of a worker on `/metrics` (`AEGIS_HTTP_PORT`), then those of a gateway, generated from the code by
`python -m stream.metric_pages`. The alerts on them are in [alerts.yaml](../prometheus/alerts.yaml), what to do
about each in the [runbook](../runbook.md), a dashboard in [aegis.json](../grafana/aegis.json).

Histograms have `_bucket`, `_count` and `_sum`; those with exemplars show them where a scraper asks for OpenMetrics, as
Prometheus does with `--enable-feature=exemplar-storage`: the trace id of one sampled turn a bucket, under `trace_id`.
Each worker tells of what it does itself: sum over workers, but take the largest of what one worker tells for all.
"""
FOOT: Final = """## Labels

No label names a text, an id, a person or a tenant.

| label | values |
|---|---|
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for section, metrics in groupby(Metrics(), lambda metric: metric.section):
        parts.append(f"## {section}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n")
        parts[-1] += "".join(
            f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels) or '–'} | {one.about} |\n"
            for one in metrics
        )
    parts.append(_of_gateways())
    used = {label for one in Metrics() for label in one.labels}
    parts.append(FOOT + "".join(f"| `{label}` | {about} |\n" for label, about in LABELS.items() if label in used))
    return "\n".join(parts)


def _of_gateways() -> str:
    """They have a few of their own, on their own port. Their labels stand in their meaning."""
    lines = ["## `aegis gateway`", "", "| metric | kind | meaning |", "|---|---|---|"]
    for one in Counts(CollectorRegistry(), lambda: 0).registry.collect():
        name = f"{one.name}_total" if one.type == "counter" else one.name
        lines.append(f"| `{name}` | {one.type} | {one.documentation} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
