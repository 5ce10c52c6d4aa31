"""Kinds of metrics that prometheus_client has not, and a registry that knows what each metric means.

An exemplar is the trace id of one sampled turn beside a bucket: a few a batch, so that none costs a turn anything.
Only the OpenMetrics form of `/metrics` has them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

TRACE_ID = "trace_id"
"""The exemplar's one label, by the name that Grafana follows to a trace unless told otherwise."""
_Collected = TypeVar("_Collected", bound=Collector)


@dataclass(frozen=True, slots=True)
class Described:
    """What a metric is: `name` as Prometheus stores it (a counter's ends in `_total`), `kind` counter, gauge or
    histogram, `about` one sentence or more."""

    name: str
    kind: str
    labels: tuple[str, ...]
    about: str
    section: str


class BatchHistogram(Collector):
    """A histogram that takes a batch of values at once: prometheus_client's own costs 2 us a value, of 25 us a turn."""

    def __init__(self, name: str, about: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._about = name, about
        self._bounds = np.array(buckets)
        self._names = [*(repr(float(bound)) for bound in buckets), "+Inf"]
        self._counts = np.zeros(len(buckets) + 1, dtype=np.int64)
        self._exemplars: dict[int, Exemplar] = {}
        self._sum = 0.0
        registry.register(self)

    def observe_all(self, values: Sequence[float], traced: Mapping[int, str] | None = None) -> None:
        """A value falls into the first bucket whose bound it does not exceed. `traced`: the trace ids of some of the
        values, by their places; the last of a bucket is its exemplar."""
        places = np.searchsorted(self._bounds, values)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(np.sum(values))
        if traced:
            now = time.time()
            for place, trace_id in traced.items():
                self._exemplars[int(places[place])] = Exemplar({TRACE_ID: trace_id}, values[place], now)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._about, labels=())
        counts = accumulate(self._counts.tolist())
        buckets = [
            (name, count, self._exemplars[place]) if place in self._exemplars else (name, count)
            for place, (name, count) in enumerate(zip(self._names, counts, strict=True))
        ]
        family.add_metric([], buckets, self._sum)
        yield family


Values = Mapping[tuple[str, ...], float]
"""Of each combination of label values, in the order of the labels' names."""


class Table(Collector):
    """Values that are looked at all together: what is not in the newest look is not there any more, such as the lag of
    a partition that another worker has now. As a counter it must never fall, but to begin anew."""

    def __init__(
        self, name: str, about: str, labels: Sequence[str], registry: CollectorRegistry, *, counts: bool = False
    ) -> None:
        self._name, self._about, self._labels = name, about, tuple(labels)
        self._family: type[GaugeMetricFamily] | type[CounterMetricFamily]
        self._family = CounterMetricFamily if counts else GaugeMetricFamily
        self._values: Values = {}
        registry.register(self)

    def replace(self, values: Values) -> None:
        """The whole table anew."""
        self._values = dict(values)

    def collect(self) -> Iterable[Metric]:
        family = self._family(self._name, self._about, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


class Catalogue:
    """Makes metrics in one registry, and remembers what each means. `begin` names the section of those that follow."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._described: list[Described] = []
        self._section = ""

    def __iter__(self) -> Iterator[Described]:
        return iter(self._described)

    def begin(self, section: str) -> None:
        self._section = section

    def describe(self, name: str, kind: str, labels: Sequence[str], about: str) -> None:
        self._described.append(Described(name, kind, tuple(labels), about, self._section))

    def counter(
        self, name: str, about: str, labels: Sequence[str] = (), known: Iterable[tuple[str, ...]] = ()
    ) -> Counter:
        """`known` values of labels are there from the start, as 0: Prometheus sees no increase in what begins at 1."""
        self.describe(f"{name}_total", "counter", labels, about)
        counter = Counter(name, about, labels, registry=self.registry)
        for values in known:
            counter.labels(*values)
        return counter

    def gauge(self, name: str, about: str, labels: Sequence[str] = ()) -> Gauge:
        self.describe(name, "gauge", labels, about)
        return Gauge(name, about, labels, registry=self.registry)

    def histogram(self, name: str, about: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
        self.describe(name, "histogram", labels, about)
        return Histogram(name, about, labels, buckets=buckets, registry=self.registry)

    def batch_histogram(self, name: str, about: str, buckets: Sequence[float]) -> BatchHistogram:
        self.describe(name, "histogram", (), about)
        return BatchHistogram(name, about, buckets, self.registry)

    def table(self, name: str, about: str, labels: Sequence[str]) -> Table:
        self.describe(name, "gauge", labels, about)
        return Table(name, about, labels, self.registry)

    def count_table(self, name: str, about: str, labels: Sequence[str]) -> Table:
        self.describe(f"{name}_total", "counter", labels, about)
        return Table(name, about, labels, self.registry, counts=True)


def exemplar_of(trace_id: str | None) -> dict[str, str] | None:
    """As prometheus_client's own histograms take it."""
    return None if trace_id is None else {TRACE_ID: trace_id}
