"""Alerts, dashboard and configuration name what exists, and are what Prometheus and Grafana read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from stream.metrics import Metrics
from support.promql import (
    DASHBOARD,
    DEPLOY,
    PROMETHEUS,
    Expression,
    alerts,
    known,
    needs_promtool,
    of_alerts,
    of_dashboard,
)

GRAFANA = DEPLOY / "grafana"
TESTS = ("alerts.test.yaml", "alerts.days.test.yaml")


def promtool(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        ["promtool", *arguments], cwd=PROMETHEUS, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yaml"), ("check", "config", "prometheus.yaml"), ("test", "rules", *TESTS)],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(arguments: tuple[str, ...]) -> None:
    promtool(*arguments)


@needs_promtool
def test_promtool_has_nothing_to_say_of_our_names() -> None:
    assert promtool("check", "metrics", text=generate_latest(Metrics().registry).decode()) == ""


def test_each_alert_is_shown_to_fire_and_to_be_quiet() -> None:
    told = [yaml.safe_load((PROMETHEUS / name).read_text("utf-8")) for name in TESTS]
    looks = [look for file in told for test in file["tests"] for look in test["alert_rule_test"]]
    names = {rule["alert"] for rule in alerts()}
    assert {look["alertname"] for look in looks if look["exp_alerts"]} == names
    assert {look["alertname"] for look in looks if not look["exp_alerts"]} == names


def test_each_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "runbook_url"}, rule["alert"]


EXPRESSIONS = [*of_alerts(), *of_dashboard()]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.where)
def test_every_metric_and_label_that_is_named_exists(expression: Expression) -> None:
    exposed = known()
    assert expression.metrics(), expression
    assert expression.metrics() <= exposed.keys()
    assert [(metric, label) for metric, label in expression.matchers() if label not in exposed[metric]] == []


def test_what_is_named_is_looked_for_in_the_right_way() -> None:
    wrong = Expression("", 'sum by (le) (rate(aegis_no_such_bucket{le="1", tenant=~"aegis_x"}[5m])) / aegis_ready')
    assert wrong.metrics() == {"aegis_no_such_bucket", "aegis_ready"}
    assert list(wrong.matchers()) == [("aegis_no_such_bucket", "le"), ("aegis_no_such_bucket", "tenant")]


@needs_promtool
def test_every_expression_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": expression.promql} for n, expression in enumerate(of_dashboard())]
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


def test_every_metric_of_ours_is_on_the_dashboard_or_has_a_reason_not_to_be() -> None:
    shown = {name for expression in of_dashboard() for name in expression.metrics()}
    plain = {name.removesuffix("_bucket") for name in shown}
    told_otherwise = {
        *("process_open_fds", "process_max_fds", "process_virtual_memory_bytes"),  # for who looks for a leak
        *("aegis_recovery_records", "aegis_standbys"),  # what is left of them is shown
    }
    assert {metric.name for metric in Metrics()} - plain == told_otherwise


def test_panels_have_ids_of_their_own_stand_beside_each_other_and_say_what_they_show() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in columns for y in rows}
        assert max(columns) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"].endswith("."), panel["title"]


def test_what_grafana_is_given_fits_together() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    providers = yaml.safe_load((GRAFANA / "provisioning/dashboards/aegis.yaml").read_text("utf-8"))
    (source,) = sources["datasources"]
    assert source["type"] == "prometheus"
    assert [each["name"] for each in source["jsonData"]["exemplarTraceIdDestinations"]] == ["trace_id"]
    assert [provider["type"] for provider in providers["providers"]] == ["file"]
