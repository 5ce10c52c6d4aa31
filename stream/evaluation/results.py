"""What an evaluation found, as `--json` writes it. A value is null where it is not defined; intervals hold 95 % of the
resamples. Fields are added, never renamed, while `form` is 1.
"""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

DECIMALS = 6
"""Of every number in the JSON: far below any interval, above what a sum in another order changes."""
Kind = Literal["expert", "mean", "ensemble"]
MEAN, ENSEMBLE = "plain mean", "ensemble"


class Estimate(Struct, frozen=True):
    """A figure with its interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


class At(Struct, frozen=True):
    """The figures at one threshold."""

    threshold: float
    f1: Estimate
    recall: Estimate
    false_positive_rate: Estimate


class Figures(Struct, frozen=True):
    """Of one scorer on some rows. `rows` are those on which it was awake, `asleep` the others, which are left out."""

    rows: int
    unsafe: int
    asleep: int
    auprc: Estimate
    auroc: Estimate
    at: tuple[At, ...]


class Scorer(Struct, frozen=True):
    """An expert, the plain mean of those awake (the ensemble without adaptation), or the ensemble adapted online.

    `rest` is on the rows that the ensemble forecast after `after` labels had come; null where there are none. `lead` is
    the AUPRC of the ensemble minus that of this scorer on the rows on which this scorer was awake, `rest_lead` the same
    of the rest: an interval above 0 is a better ensemble.
    """

    name: str
    kind: Kind
    figures: Figures
    lead: Estimate
    rest: Figures | None
    rest_lead: Estimate | None


class GroupScorer(Struct, frozen=True):
    """One scorer in a group; only the ensemble's figures have intervals."""

    name: str
    figures: Figures


class Group(Struct, frozen=True):
    """Rows that share a category or an attack. Recall and false-positive rate are of these rows; the areas and F1 of a
    category set its unsafe rows against every safe row of the set.
    """

    name: str
    rows: int
    unsafe: int
    scorers: tuple[GroupScorer, ...]


class Learned(Struct, frozen=True):
    """What the ensemble had learned of an expert in one context in the end. `bound` is null where there is none."""

    expert: str
    weight: float
    regret: float
    bound: float | None


class Context(Struct, frozen=True):
    """One role: the labels that were learned, and what of. An alarm is a regret above its bound: a bug."""

    role: str
    labels: int
    alarm: bool
    experts: tuple[Learned, ...]


class Place(Struct, frozen=True):
    """One set, or the mix of all of them. `unlabelled` rows had no label and `bad` ones could not be read: neither is
    among `rows`. `rest` counts the rows forecast after `after` labels.
    """

    name: str
    rows: int
    unsafe: int
    unlabelled: int
    bad: int
    rest: int
    scorers: tuple[Scorer, ...]
    categories: tuple[Group, ...]
    attacks: tuple[Group, ...]
    contexts: tuple[Context, ...]


class Options(Struct, frozen=True):
    """What was asked for: with the same files and experts, the same answer."""

    policy: str
    thresholds: tuple[float, ...]
    main_threshold: float
    after: int
    delay: int
    label_rate: float
    seed: int
    resamples: int
    shuffle: int | None
    limit: int | None


class Report(Struct, frozen=True):
    """Everything. Where there are several sets, the last place is their mix, shuffled together."""

    form: Literal[1]
    options: Options
    experts: tuple[str, ...]
    failures: dict[str, int]
    """`name@version: error` to the rows on which it failed."""
    places: tuple[Place, ...]


def number(value: float) -> float | None:
    """Rounded; None for what is not finite."""
    return round(float(value), DECIMALS) if math.isfinite(value) else None
