"""What `weights.v1` tells of thresholds and of losses that departed from their long run, and the alarm of these."""

import structlog

from ensemble.drift import departures
from ensemble.moments import Moments
from ensemble.policy import Policy
from ensemble.thresholds import DecisionThresholds
from ensemble.thresholds import Threshold as Calibrated
from stream.metrics import Metrics
from stream.records import Departure, Threshold, Thresholds

log = structlog.get_logger()


def thresholds_of(found: DecisionThresholds) -> Thresholds:
    """As they are published."""

    def of_one(cut: Calibrated) -> Threshold:
        return Threshold(cut.value, cut.low, cut.high, cut.calibrated)

    return Thresholds(of_one(found.caution), of_one(found.unsafe))


class DriftWatch:
    """Remembers which losses of each context have departed, so that a change is told once."""

    def __init__(self, metrics: Metrics) -> None:
        self._departed: dict[str, frozenset[tuple[str, str]]] = {}
        self._gauge = metrics.drift
        self._count()

    def look(self, context: str, policy: Policy, moments: Moments) -> tuple[Departure, ...]:
        """The losses of a context that have departed now. A log line names the expert but no context, which holds a
        tenant."""
        told = [one for one in departures(moments, policy) if one.departed]
        now = frozenset((one.scorer, _direction(one.worse)) for one in told)
        for scorer, direction in sorted(now - self._departed.pop(context, frozenset())):
            log.warning(
                "loss_departed",
                policy=policy.name,
                scorer=scorer,
                direction=direction,
                remedy="see `drift` in weights.v1, and what changed: the traffic, the labels or an expert",
            )
        if now:
            self._departed[context] = now
        self._count()
        return tuple(Departure(one.scorer, one.half_life, one.recent, one.long_run) for one in told)

    def forget(self) -> None:
        """Another worker looks from now on."""
        self._departed.clear()
        self._count()

    def _count(self) -> None:
        for direction in (_direction(True), _direction(False)):
            count = sum(any(way == direction for _, way in known) for known in self._departed.values())
            self._gauge.labels(direction).set(count)


def _direction(worse: bool) -> str:
    return "worse" if worse else "better"
