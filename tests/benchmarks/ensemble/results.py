"""What was measured, as it is kept in JSON."""

from __future__ import annotations

from msgspec import Struct

from benchmarks.results import Place


class Run(Struct, frozen=True):
    """One contestant in one round."""

    contestant: str
    round: int
    updates: int
    """Labels learned in the time below: for the slow ones a sample, from which the rate is extrapolated."""
    updates_s: float
    forecasts: int
    forecasts_s: float
    load: float
    """The machine's load average over the minute before."""

    @property
    def updates_per_s(self) -> float:
        return self.updates / self.updates_s

    @property
    def forecasts_per_s(self) -> float:
        return self.forecasts / self.forecasts_s


class Results(Place, frozen=True):
    """One benchmark: where, with what, and every run."""

    experts: int
    turns: int
    fold: int
    """Labels that are learned together."""
    batch: int
    """Turns that are forecast together."""
    apart: float
    """The largest difference between a weight of the ensemble and one of EWA after the sample, at one half-life."""
    runs: tuple[Run, ...]
