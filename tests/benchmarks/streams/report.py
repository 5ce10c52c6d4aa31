"""From measured outcomes to a page of Markdown. Pure: no clock, no experts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.report import spread
from benchmarks.streams.results import Outcome, Results

ENSEMBLE: Final = "ensemble"
FIFTH: Final = f"{ENSEMBLE}, a fifth half-life of 10 min"
FORGETFUL: Final = ", half-lives weighed by losses that decay in an hour"
JUDGED: Final = {
    ENSEMBLE: "",
    FIFTH + FORGETFUL: ", with a fifth half-life of 10 min and losses of half-lives that decay",
}
"""The ensemble as it is, and with both changes that its misses ask for."""
GOAL: Final = 0.01
"""The most that the ensemble's loss may be above that of the best expert of a phase, as a share of it."""
COURSES: Final = {
    "shuffled": "One shuffled stream, permissive",
    "drifting": "One drifting stream, every row once",
    "long": "One drifting stream, each phase drawn with replacement",
}
NOTES = """\
One context for the whole stream, so that drift reaches it, unless a row says otherwise. A label comes before the next
turn, or never: at a rate below 1 it is drawn at random and counts 1 / rate. Losses are over all turns, labelled or not.
The columns of phases hold the mean loss from {after} labels after the phase's start to its end, relative to the expert
that is best over just those turns (of those awake in all of them); `–`: the phase has fewer labels, or the expert
sleeps in it. An expert's loss and AUPRC are over the turns on which it is awake. A mixture in hindsight has the convex
weights with the least loss over the whole stream, or over each phase, and is no rule that could have been followed; in
it, and for river, an expert that sleeps says the mean of the others. river (EWARegressor, eta = 1/2) is fed the same
labels, one that counts 1 / rate as so many, and what it says is cut to [0, 1]. Figures are medians over seeds, with
extremes."""
WHY = """\
What decides how soon a switch is followed: under a half-life the new best expert must first make up the lead that the
old one still has in its decayed sums, so a half-life follows within about its own length in turns (an hour: 720 turns
5 s apart) and infinity only after `lead / gap` turns; and the half-lives are weighed by all their losses ever, so one
that is short, and was a little worse for long, comes back as late as it fell behind. Too short a memory costs as well:
a few dozen turns do not tell good experts apart."""
PLOT = "![Weights and excess loss over the drifting stream, every label, first seed]"


def render(results: Results, seeds: Sequence[int], plot: str | None) -> str:
    """The page; `plot` is the file name of the picture."""
    lines = ["# The ensemble on labelled streams", "", *_where(results, len(seeds)), ""]
    for course, title in COURSES.items():
        some = [one for one in results.outcomes if one.course == course]
        if some:
            lines += [f"## {title}", "", *_table(some), ""]
            lines += [*_goals(some), ""] if course != "shuffled" else []
    picture = (
        [f"![Weights and excess loss over the drifting stream, every label, first seed]({plot})", ""] if plot else []
    )
    return "\n".join((*lines, *picture, WHY, "", NOTES.format(after=results.after))) + "\n"


def _where(results: Results, seeds: int) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    sets = ", ".join(f"{name} {count:,}" for name, count in results.sets.items())
    return [
        f"`{results.command}` on {results.at}; {versions}. Experts: {', '.join(results.experts)}.",
        f"Labelled rows: {sets}; {results.caution:,} of them are needs_caution: the set calls them safe and names so.",
        "The drifting streams go from users under the permissive policy to users under the defensive one, to replies,",
        f"to the adversarial tests of hatecheck; the long one has {results.long_turns:,} turns a phase. Turns come",
        f"{results.spacing:g} s of event time apart unless a row says otherwise; {seeds} seeds of order and of labels.",
    ]


def _table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    phases = [stretch.phase for stretch in outcomes[0].stretches]
    heads = ["label rate", "rule", "mean Brier loss", "AUPRC", *(f"{phase}: to the best expert" for phase in phases)]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for rate, rule in dict.fromkeys((one.rate, one.rule) for one in outcomes):
        mine = [one for one in outcomes if (one.rate, one.rule) == (rate, rule)]
        cells = [
            f"{rate:g}",
            f"**{rule}**" if rule == ENSEMBLE else rule,
            spread((one.loss for one in mine), "{:.4f}"),
            spread((one.auprc for one in mine), "{:.3f}"),
            *(spread(excesses(mine, phase), "{:+.1%}") for phase in phases),
        ]
        yield f"| {' | '.join(cells)} |"


def excesses(outcomes: Sequence[Outcome], phase: str) -> list[float]:
    """Of each of these outcomes in a phase, where it is known."""
    found = [stretch.excess for one in outcomes for stretch in one.stretches if stretch.phase == phase]
    return [excess for excess in found if excess is not None]


def _goals(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Whether the ensemble was near the best expert of each phase."""
    for rule, title in JUDGED.items():
        mine = [one for one in outcomes if one.rule == rule]
        for rate in dict.fromkeys(one.rate for one in mine):
            some = [one for one in mine if one.rate == rate]
            found = {stretch.phase: excesses(some, stretch.phase) for stretch in some[0].stretches}
            told = "; ".join(f"{phase} {near(values)}" for phase, values in found.items() if values)
            if told:
                yield f"- Within {GOAL:.0%} of the best expert of each phase, label rate {rate:g}{title}: {told}."


def near(found: Sequence[float]) -> str:
    """Whether, and for how many of the seeds."""
    reached = sum(excess <= GOAL for excess in found)
    if reached == len(found):
        return "reached for every seed"
    return f"reached for {reached} of {len(found)} seeds" if reached else "**not reached**"
