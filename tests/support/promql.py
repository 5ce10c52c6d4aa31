"""Expressions of alerts and dashboards, and what they name."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from stream.metrics import Metrics

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"
PROMETHEUS, DASHBOARD = DEPLOY / "prometheus", DEPLOY / "grafana" / "aegis.json"
THEIRS: Final = {"up": ("instance", "job"), "ALERTS": ("alertname", "alertstate", "severity", "instance")}
"""Metrics that Prometheus makes itself, and their labels."""
OF_A_TARGET: Final = ("instance", "job")
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not here: apt install prometheus"
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME = re.compile(r"\b[A-Za-z_][A-Za-z0-9_]*\b")
_SELECTOR = re.compile(r"\b([A-Za-z_][A-Za-z0-9_]*)\{([^}]*)\}")
_MATCHER = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)\s*(?:=~|!~|!=|=)\s*"')


@dataclass(frozen=True)
class Expression:
    """PromQL, and where it stands."""

    where: str
    promql: str

    def metrics(self) -> set[str]:
        """Names of metrics: what looks like one of ours, of the process's or of Prometheus's own."""
        words = set(_NAME.findall(_STRING.sub('""', self.promql)))
        return {word for word in words if word.startswith(("aegis_", "process_")) or word in THEIRS}

    def matchers(self) -> Iterator[tuple[str, str]]:
        """(metric, label) of each label that a selector asks for."""
        for metric, inside in _SELECTOR.findall(self.promql):
            for label in _MATCHER.findall(inside):
                yield metric, label


def known() -> dict[str, tuple[str, ...]]:
    """Every series that a worker exposes, with its labels."""
    found: dict[str, tuple[str, ...]] = dict(THEIRS)
    for metric in Metrics():
        labels = (*metric.labels, *OF_A_TARGET)
        if metric.kind == "histogram":
            found |= {f"{metric.name}_bucket": (*labels, "le")}
            found |= {f"{metric.name}_{part}": labels for part in ("count", "sum")}
        else:
            found[metric.name] = labels
    return found


def alerts() -> list[dict[str, Any]]:
    """The rules of alerts.yaml."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def of_alerts() -> list[Expression]:
    return [Expression(rule["alert"], rule["expr"]) for rule in alerts()]


def of_dashboard() -> list[Expression]:
    """With Grafana's variables as they would be filled in."""
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    found = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", ())]
    found += [(note["name"], note["expr"]) for note in dashboard["annotations"]["list"]]
    return [Expression(where, filled(expr)) for where, expr in found]


def filled(expression: str) -> str:
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
