"""What is counted is exposed as Prometheus reads it."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from stream.metrics import BatchHistogram, Metrics


def test_a_batch_falls_into_the_buckets_that_single_values_would() -> None:
    registry = CollectorRegistry()
    histogram = BatchHistogram("h", "about", (0.1, 1.0), registry)
    histogram.observe_all([0.05, 0.1, 0.5, 7.0])
    histogram.observe_all([])
    [family] = [f for f in text_string_to_metric_families(generate_latest(registry).decode()) if f.name == "h"]
    values = {(s.name, s.labels.get("le", "")): s.value for s in family.samples}
    assert values == {
        ("h_bucket", "0.1"): 2.0,
        ("h_bucket", "1"): 3.0,
        ("h_bucket", "+Inf"): 4.0,
        ("h_count", ""): 4.0,
        ("h_sum", ""): 7.65,
    }


def test_two_workers_in_one_process_count_apart() -> None:
    one, two = Metrics(), Metrics()
    one.repeated.inc()
    assert b"aegis_turns_repeated_total 1.0" in generate_latest(one.registry)
    assert b"aegis_turns_repeated_total 0.0" in generate_latest(two.registry)
