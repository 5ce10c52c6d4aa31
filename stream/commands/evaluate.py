"""`aegis evaluate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from ensemble.policy import Policy
from experts.base import STATUS_NAMES
from experts.executor import OnFailure, Panel
from experts.registry import ZOO, load_panel
from stream.commands.progress import counting
from stream.commands.tables import print_tables
from stream.errors import DataError
from stream.evaluation.data import DataSet, find_sets, read_set
from stream.evaluation.markdown import markdown
from stream.evaluation.measuring import thresholds_of
from stream.evaluation.plots import draw
from stream.evaluation.results import Options, Report
from stream.evaluation.runner import Course, measure, report, score_sets
from stream.evaluation.tables import tables
from stream.settings import Settings


def open_panel(settings: Settings, on_failure: OnFailure) -> Panel:
    """The experts of the settings, without a time-out: a figure must not depend on how busy the machine is."""
    return load_panel(
        settings.experts_dir or ZOO, settings.experts, settings.device, timeout=None, on_failure=on_failure
    )


def labelled(paths: Sequence[Path], limit: int | None, seed: int, skip_bad: bool) -> list[DataSet]:
    """The sets with labelled rows; one without is named on standard error. DataError when none has any."""
    with counting("reading") as advance:
        sets = []
        for name, file in find_sets(paths):
            one = read_set(name, file, skip_bad)
            advance(len(one.rows) + one.unlabelled)
            if one.rows:
                sets.append(one.sampled(limit, seed))
            else:
                click.echo(f"{file} has no labelled row ({one.unlabelled:,} without a label): left out", err=True)
    if not sets:
        raise DataError("no file has a labelled row: give rows with `unsafe` true or false")
    return sets


def show(found: Report, as_markdown: bool) -> None:
    """Prints the report on standard output."""
    if as_markdown:
        click.echo(markdown(found), nl=False)
        return
    print_tables(tables(found))


@click.command(short_help="Measure the experts and the ensemble on labelled turns.")
@click.argument("data", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--experts", metavar="NAMES", help="Only these experts, with commas between them.")
@click.option(
    "--experts-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the experts' folders.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where they run.")
@click.option("--policy", metavar="NAME", help="How needs_caution is read, and from which score on is flagged.")
@click.option(
    "--threshold",
    "asked",
    multiple=True,
    type=click.FloatRange(0, 1),
    help="Flag scores from here on, not from the policy's threshold; repeatable.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Rows of each set, drawn by the seed.")
@click.option("--shuffle", type=click.IntRange(min=0), metavar="SEED", help="Rows in this random order, not as given.")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    help="Compare also on what comes after so many labels.",
)
@click.option("--delay", type=click.IntRange(min=0), default=0, show_default=True, help="Turns until a label comes.")
@click.option(
    "--label-rate", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Share of rows whose label comes."
)
@click.option(
    "--resamples", type=click.IntRange(min=2), default=1000, show_default=True, help="Resamples of each interval."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of samples, of labels that come, of intervals and of the mix.",
)
@click.option("--skip-bad", is_flag=True, help="Count lines that cannot be read, instead of ending at the first.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures there.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write plots into this folder.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print tables for a README.")
def evaluate(
    data: tuple[Path, ...],
    experts: str | None,
    experts_dir: Path | None,
    device: str | None,
    policy: str | None,
    asked: tuple[float, ...],
    skip_bad: bool,
    json_file: Path | None,
    out: Path | None,
    as_markdown: bool,
    **how: Any,
) -> None:
    """Measure every expert, their plain mean, and the ensemble on the labelled turns of DATA.

    DATA is files or folders: data sets with data.jsonl(.gz), or lines of {"text", "unsafe"} with role, history,
    categories and attack where there are any. The ensemble adapts as in a worker: each row is forecast from the labels
    that came before, one context a role. Of several sets each is a row, and so is their mix. AEGIS_POLICY and the
    other settings of experts hold as for the worker.

    \b
    Examples:
      aegis evaluate labelled.jsonl --experts lexical --limit 200
      aegis evaluate set1/ set2/ --shuffle 0 --json figures.json --out plots/
    """
    chosen = {"experts": experts, "experts_dir": experts_dir, "device": device, "policy": policy}
    settings = Settings.load(**{name: value for name, value in chosen.items() if value is not None})
    reading = settings.defined_policies()[settings.policy]
    thresholds, main = thresholds_of(reading, asked)
    options = Options(policy=settings.policy, thresholds=thresholds, main_threshold=main, **how)
    sets = labelled(data, options.limit, options.seed, skip_bad)
    courses, failures = _evaluated(sets, settings, reading, options)
    found = report(courses, options, failures)
    show(found, as_markdown)
    for name, count in found.failures.items():
        click.echo(f"{name} on {count:,} rows: they are left out of its figures", err=True)
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        with counting("plots") as advance:
            for course in courses:
                advance(len(draw(course, options, out)))


def _evaluated(
    sets: list[DataSet], settings: Settings, policy: Policy, options: Options
) -> tuple[list[Course], dict[str, int]]:
    """The courses, and the failures as `Report` has them."""
    failures: Counter[tuple[str, int]] = Counter()
    panel = open_panel(settings, lambda expert, status, count: failures.update({(expert, status): count}))
    rows = sum(len(one.rows) for one in sets)
    try:
        with counting("scoring", rows) as advance:
            scored = score_sets(panel, sets, advance)
    finally:
        panel.close()
    with counting("measuring", rows * (1 + (len(sets) > 1))) as advance:
        courses = measure(sets, scored, policy, options, advance)
    return courses, {f"{expert}: {STATUS_NAMES[status]}": count for (expert, status), count in failures.items()}
