"""The report as Markdown, to be pasted into a README."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from stream.evaluation.results import Place, Report, Scorer
from stream.evaluation.tables import PARTIAL, auprc, main, short, with_interval


def markdown(report: Report) -> str:
    """AUPRC of everything on every set, the same after some labels, and the ensemble's own figures."""
    after = f"{report.options.after:,}"
    parts = (
        "AUPRC over all rows:",
        _matrix(report, lambda scorer: auprc(scorer.figures), lambda place: place.rows),
        f"AUPRC over the rows that came after {after} labels:",
        _matrix(report, lambda scorer: auprc(scorer.rest), lambda place: place.rest),
        _partial(report),
        _ensemble(report),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _matrix(report: Report, cell: Callable[[Scorer], str], rows: Callable[[Place], int]) -> str:
    names = [short(scorer.name) for scorer in report.places[0].scorers]
    lines = ((place.name, f"{rows(place):,}", *(cell(scorer) for scorer in place.scorers)) for place in report.places)
    return "\n".join(_table(["set", "rows", *names], lines))


def _partial(report: Report) -> str:
    """What the mark of an expert that slept on some rows means, where there is one."""
    slept = any(scorer.figures.asleep for place in report.places for scorer in place.scorers)
    return f"\\{PARTIAL} only on the rows on which it is awake." if slept else ""


def _ensemble(report: Report) -> str:
    """The plain mean (no adaptation) and the ensemble, with intervals."""
    at = f"{report.options.main_threshold:g}"
    heads = ["set", "scorer", "AUPRC", "AUROC", f"F1 at {at}", f"false-positive rate at {at}"]
    lines = (
        (place.name, scorer.name, *_figures(report, scorer))
        for place in report.places
        for scorer in place.scorers
        if scorer.kind != "expert"
    )
    note = f"All rows, with intervals of 95 % over {report.options.resamples:,} resamples:"
    return "\n\n".join((note, "\n".join(_table(heads, lines))))


def _figures(report: Report, scorer: Scorer) -> Iterator[str]:
    at = main(scorer.figures, report.options)
    for estimate in (scorer.figures.auprc, scorer.figures.auroc, at.f1, at.false_positive_rate):
        told = with_interval(estimate, between=" (")
        yield told + ")" if "(" in told else told


def _table(heads: Sequence[str], lines: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield _line(heads)
    yield _line(["---"] * len(heads))
    for line in lines:
        yield _line(line)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
