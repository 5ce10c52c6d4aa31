"""The ensemble: what is learned from late labels, and what is guaranteed. Numbers in, numbers out: no clock, no I/O, no
logging.

    advice [N, K] ──▶ Forecaster.forecast ──▶ Forecast: a score for each turn, decided by Policy.decide
                          ▲                        │ stored with the turn: advice, forecasts, score, `used`
                          │ Forecaster.of          ▼
    Moments ◀── fold ── Rounds ◀── the stored turns whose label came ◀── votes.newest, Limits.decide
       │ │                 of those that were asked for: ask_probabilities; `scaled` weighs the others
       │ └──▶ merge, total: the sum over partitions; encode, decode: bytes in a changelog
       ├────▶ report: regret and its bound;   Replay: what all this must come to
       └────▶ calibrate: thresholds with their intervals;   departures: losses that drifted

A day, with a question and its late answer (times in seconds):

>>> import numpy as np
>>> from ensemble import PERMISSIVE, Forecaster, Rounds, fold, report, zero
>>> panel = ("lexical@1", "semantic@1")
>>> moments = zero(panel)

Two turns are scored before anybody has labelled anything: the experts weigh the same.

>>> advice, awake = np.array([[0.9, 0.2], [0.8, 0.1]]), np.ones((2, 2), bool)
>>> forecaster = Forecaster.of(moments, PERMISSIVE, panel)
>>> seen = forecaster.forecast(advice, awake)
>>> seen.published.round(3).tolist(), PERMISSIVE.decide_many(seen.published).tolist()
([0.55, 0.45], [2, 1])

Hours later a person says that both were safe. The stored advice is scored, not a new run of the experts.

>>> moments = fold(moments, Rounds.of(
...     advice, awake, seen.forecasts, seen.published, label=[0, 0], scored_at=[0.0, 60.0], used=forecaster.used))
>>> Forecaster.of(moments, PERMISSIVE, panel).weights().round(3).tolist()
[0.332, 0.668]

The next turn meets the better expert asleep, and is decided by the other alone.

>>> Forecaster.of(moments, PERMISSIVE, panel).forecast([[0.7, np.nan]], np.array([[True, False]])).weights.tolist()
[[1.0, 0.0]]

The second forecast had missed the first label (D = 1), and the regret to the better expert is under its bound.

>>> told = report(moments, PERMISSIVE)
>>> told.delay, told.regret.round(3).tolist(), bool((told.regret <= told.bounds).all()), told.alarm
(1.0, [-0.945, 0.455], True, False)
"""

from ensemble.codec import decode, encode
from ensemble.drift import ENSEMBLE, Departure, departures
from ensemble.errors import (
    AdviceError,
    EnsembleError,
    MomentsCorruptError,
    MomentsError,
    MomentsMismatchError,
    MomentsVersionError,
    PolicyError,
)
from ensemble.forecaster import Forecast, Forecaster, blend
from ensemble.losses import cumulative, eta
from ensemble.moments import HALF_LIVES, Moments, align, fold, merge, rescale, subtract, total, zero
from ensemble.policy import CLASSES, DEFENSIVE, PERMISSIVE, POLICIES, Policy
from ensemble.regret import RegretReport, report
from ensemble.replay import Replay, distance
from ensemble.rounds import STATISTICS, Rounds
from ensemble.sampling import ask_probabilities, scaled, with_unasked
from ensemble.shadows import shadow_of
from ensemble.thresholds import DecisionThresholds, Threshold, calibrate
from ensemble.votes import Limits, Vote, cast, majority

__all__ = [
    "CLASSES",
    "DEFENSIVE",
    "ENSEMBLE",
    "HALF_LIVES",
    "PERMISSIVE",
    "POLICIES",
    "STATISTICS",
    "AdviceError",
    "DecisionThresholds",
    "Departure",
    "EnsembleError",
    "Forecast",
    "Forecaster",
    "Limits",
    "Moments",
    "MomentsCorruptError",
    "MomentsError",
    "MomentsMismatchError",
    "MomentsVersionError",
    "Policy",
    "PolicyError",
    "RegretReport",
    "Replay",
    "Rounds",
    "Threshold",
    "Vote",
    "align",
    "ask_probabilities",
    "blend",
    "calibrate",
    "cast",
    "cumulative",
    "decode",
    "departures",
    "distance",
    "encode",
    "eta",
    "fold",
    "majority",
    "merge",
    "report",
    "rescale",
    "scaled",
    "shadow_of",
    "subtract",
    "total",
    "with_unasked",
    "zero",
]
