"""One evaluation: sets in, report out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from msgspec import structs

from ensemble.policy import Policy
from stream.evaluation.data import DataSet
from stream.evaluation.measuring import place
from stream.evaluation.online import Adapted, Labelling, adapt
from stream.evaluation.results import Options, Place, Report
from stream.evaluation.scoring import Panel, Scored, score, together

MIX: Final = "mix"
"""The place of all sets, shuffled together."""


@dataclass(frozen=True, eq=False, slots=True)
class Course:
    """A place with what its figures were made of, for the plots."""

    place: Place
    scored: Scored
    adapted: Adapted
    policy: Policy


def score_sets(panel: Panel, sets: Sequence[DataSet], advance: Callable[[int], None]) -> list[Scored]:
    """Every expert's score of every row; `advance` is told how many rows are done."""
    return [score(panel, one.rows, advance) for one in sets]


def measure(
    sets: Sequence[DataSet], scored: Sequence[Scored], policy: Policy, options: Options, advance: Callable[[int], None]
) -> list[Course]:
    """The place of each set, and of their mix where there are several; `advance` is told the rows of each."""
    courses = []
    for one, given in zip(sets, scored, strict=True):
        told = given if options.shuffle is None else _shuffled(given, options.shuffle)
        course = _course(one.name, told, policy, options, by_group=True)
        courses.append(replace(course, place=structs.replace(course.place, unlabelled=one.unlabelled, bad=one.bad)))
        advance(len(one.rows))
    if len(sets) > 1:
        seed = options.seed if options.shuffle is None else options.shuffle
        mixed = _course(MIX, _shuffled(together(scored), seed), policy, options, by_group=False)
        unlabelled, bad = sum(one.unlabelled for one in sets), sum(one.bad for one in sets)
        courses.append(replace(mixed, place=structs.replace(mixed.place, unlabelled=unlabelled, bad=bad)))
        advance(mixed.place.rows)
    return courses


def report(courses: Sequence[Course], options: Options, failures: dict[str, int]) -> Report:
    """What is written as JSON; `failures` is as `Report` says."""
    experts = courses[0].scored.experts
    places = tuple(course.place for course in courses)
    return Report(1, options, experts, dict(sorted(failures.items())), places)


def _course(name: str, scored: Scored, policy: Policy, options: Options, by_group: bool) -> Course:
    adapted = adapt(scored, policy, Labelling(options.delay, options.label_rate, options.seed))
    return Course(place(name, scored, adapted, policy, options, by_group), scored, adapted, policy)


def _shuffled(scored: Scored, seed: int) -> Scored:
    return scored.take(np.random.default_rng(seed).permutation(len(scored.rows)))
