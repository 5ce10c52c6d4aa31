"""What is counted is exposed as Prometheus reads it."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from stream import metric_pages
from stream.metric_kinds import BatchHistogram, Table
from stream.metrics import Metrics

TRACE = "0af7651916cd43dd8448eb211c80319c"


def family(registry: CollectorRegistry, name: str) -> Metric:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return next(family for family in families if family.name == name)


def openmetrics(registry: CollectorRegistry) -> list[Metric]:
    text = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]  # as the parser, it has no types
    return list(openmetrics_families(text))  # type: ignore[no-untyped-call]


def test_a_batch_falls_into_the_buckets_that_single_values_would() -> None:
    registry = CollectorRegistry()
    histogram = BatchHistogram("h", "about", (0.1, 1.0), registry)
    histogram.observe_all([0.05, 0.1, 0.5, 7.0])
    histogram.observe_all([])
    values = {(s.name, s.labels.get("le", "")): s.value for s in family(registry, "h").samples}
    assert values == {
        ("h_bucket", "0.1"): 2.0,
        ("h_bucket", "1.0"): 3.0,
        ("h_bucket", "+Inf"): 4.0,
        ("h_count", ""): 4.0,
        ("h_sum", ""): 7.65,
    }


def test_the_exemplar_of_a_bucket_is_the_last_sampled_turn_in_it() -> None:
    registry = CollectorRegistry()
    histogram = BatchHistogram("h", "about", (0.1, 1.0), registry)
    histogram.observe_all([0.5, 0.6, 0.05, 0.7], {0: "f" * 32, 1: TRACE})
    histogram.observe_all([0.8])
    [found] = openmetrics(registry)
    exemplars = {sample.labels["le"]: sample.exemplar for sample in found.samples if sample.name == "h_bucket"}
    assert [le for le, exemplar in exemplars.items() if exemplar is not None] == ["1.0"]
    kept = exemplars["1.0"]
    assert kept is not None
    assert (dict(kept.labels), kept.value) == ({"trace_id": TRACE}, 0.6)


def test_a_table_forgets_what_is_not_there_any_more() -> None:
    registry = CollectorRegistry()
    table = Table("lag", "about", ["topic", "partition"], registry)
    table.replace({("turns", "0"): 3.0, ("turns", "1"): 4.0})
    table.replace({("turns", "1"): 5.0})
    assert [(s.labels, s.value) for s in family(registry, "lag").samples] == [({"topic": "turns", "partition": "1"}, 5)]


def test_two_workers_in_one_process_count_apart() -> None:
    one, two = Metrics(), Metrics()
    one.repeated.inc()
    assert b"aegis_turns_repeated_total 1.0" in generate_latest(one.registry)
    assert b"aegis_turns_repeated_total 0.0" in generate_latest(two.registry)


def test_every_metric_that_is_exposed_is_described_and_every_one_described_is_exposed() -> None:
    metrics = Metrics()
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    exposed = {
        f"{f.name}_total" if f.type == "counter" else f.name: f.type for f in families if "_created" not in f.name
    }
    assert exposed == {one.name: one.kind for one in metrics}


def test_no_metric_has_a_label_that_names_a_person_a_tenant_or_a_message() -> None:
    allowed = {
        *("label", "reason", "topic", "outcome", "partition", "expert", "status", "trunk", "mode"),
        *("role", "direction", "condition", "version"),
    }
    assert {label for one in Metrics() for label in one.labels} <= allowed


def test_names_say_their_unit_and_follow_prometheus() -> None:
    for one in Metrics():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", one.name), one.name
        assert one.name.endswith("_total") == (one.kind == "counter"), one.name
        assert one.about.endswith("."), one.name


def test_the_code_uses_no_metric_that_is_made_elsewhere() -> None:
    """All of the worker are in one file, and those of the gateway in one, so that the list of them is whole."""
    package = Path(__file__).parents[3] / "stream"
    makers = re.compile(r"^from prometheus_client import .*\b(Counter|Gauge|Histogram|Summary)\b", re.MULTILINE)
    found = {path.name for path in package.rglob("*.py") if makers.search(path.read_text())}
    assert found == {"metric_kinds.py", "counts.py"}


def test_the_page_of_metrics_is_what_the_code_says() -> None:
    assert metric_pages.PAGE.read_text("utf-8") == metric_pages.page(), "run `python -m stream.metric_pages`"


def test_every_label_is_explained() -> None:
    assert {label for one in Metrics() for label in one.labels} == set(metric_pages.LABELS)
