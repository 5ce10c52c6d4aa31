"""What the worker counts, in a registry that is handed in. Never an id or a text as a label."""

from collections.abc import Iterable, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class BatchHistogram(Collector):
    """A histogram that takes a batch of values at once: prometheus_client's own costs 2 us a value, of 25 us a turn."""

    def __init__(self, name: str, about: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._about = name, about
        self._bounds = np.array(buckets)
        self._counts = np.zeros(len(buckets) + 1, dtype=np.int64)
        self._sum = 0.0
        registry.register(self)

    def observe_all(self, values: Sequence[float]) -> None:
        """A value falls into the first bucket whose bound it does not exceed."""
        places = np.searchsorted(self._bounds, values)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(np.sum(values))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        names = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        buckets = list(zip(names, np.cumsum(self._counts).tolist(), strict=True))
        yield HistogramMetricFamily(self._name, self._about, buckets=buckets, sum_value=self._sum)


class Metrics:
    """One instance a worker."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = r = registry or CollectorRegistry()
        self.verdicts = Counter("aegis_verdicts", "Verdicts published.", ["label"], registry=r)
        self.repeated = Counter(
            "aegis_turns_repeated", "Turns seen again, whose stored verdict was published again.", registry=r
        )
        about = "From the broker's timestamp of a turn to its decision."
        self.latency = BatchHistogram("aegis_latency_seconds", about, SECONDS, r)
        self.batch = Histogram(
            "aegis_batch_seconds", "From the first byte read of a batch to its forecasts.", buckets=SECONDS, registry=r
        )
        self.labels = Counter("aegis_labels", "Labels read, by what became of them.", ["outcome"], registry=r)
        self.dead_letters = Counter("aegis_dead_letters", "Messages set aside.", ["reason"], registry=r)
        self.replayed = Counter(
            "aegis_replayed",
            "Dead letters sent again, by topic and by what became of them; one on its way is counted at each stop.",
            ["topic", "outcome"],
            registry=r,
        )
        self.asleep = Counter(
            "aegis_expert_asleep", "Turns on which an expert gave no advice.", ["expert", "status"], registry=r
        )
        self.expert_mode = Gauge(
            "aegis_expert_mode", "1 for each expert that is asked, by whether it votes.", ["expert", "mode"], registry=r
        )
        self.expert_changes_refused = Counter(
            "aegis_expert_changes_refused", "Modes of experts that could not be followed.", ["reason"], registry=r
        )
        self._of_the_state(r)
        self._of_the_ensemble(r)

    def _of_the_state(self, r: CollectorRegistry) -> None:
        self.holes = Counter(
            "aegis_holes", "Partitions read again because delivered records did not arrive.", registry=r
        )
        self.expired = Counter("aegis_pending_expired", "Pending turns whose label horizon has passed.", registry=r)
        self.conversations_expired = Counter(
            "aegis_conversations_expired", "Conversations forgotten since they were idle.", registry=r
        )
        self.owned = Gauge("aegis_partitions_owned", "Partitions worked on by this worker.", registry=r)
        self.ready = Gauge(
            "aegis_ready",
            "1 when the partitions are restored, the merged view has caught up and all experts' threads live.",
            registry=r,
        )
        self.recovered = Gauge("aegis_recovery_records", "Changelog records read by recoveries.", registry=r)
        self.recovery_left = Gauge(
            "aegis_recovery_records_left", "Changelog records that the running recovery has still to read.", registry=r
        )
        self.standbys = Gauge("aegis_standbys", "Partitions of others of which a copy is kept up here.", registry=r)
        self.standby_lag = Gauge(
            "aegis_standby_lag_records", "Changelog records that those copies have still to read.", registry=r
        )

    def _of_the_ensemble(self, r: CollectorRegistry) -> None:
        self.regret_ratio = Gauge(
            "aegis_regret_ratio", "Largest regret of any context over its bound; above 1 is an alarm.", registry=r
        )
        self.drift = Gauge(
            "aegis_drift",
            "Contexts in which the recent loss of an expert or of the ensemble is worse or better than its long run.",
            ["direction"],
            registry=r,
        )
