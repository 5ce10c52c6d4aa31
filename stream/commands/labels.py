"""`aegis labels`: who labels, how far others agree, and whose labels are taken back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from msgspec.structs import replace
from rich.table import Table

from stream.annotators import Tally, tallies
from stream.asked import Answer, answer_to, ask, asked_so_far, key_of, partitions_of_state, until_carried_out
from stream.commands import hush
from stream.commands.labels_export import export
from stream.commands.progress import counting
from stream.commands.tables import print_tables
from stream.commands.times import Time
from stream.errors import DataError
from stream.records import Revocation
from stream.settings import Settings

MOST_ID = 128
"""Characters of an id, as the contract says."""


class Id(click.ParamType):
    """What an annotator, tenant, turn or conversation may be called."""

    name = "ID"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not 1 <= len(value) <= MOST_ID:
            self.fail(f"an id has 1 to {MOST_ID} characters, this one has {len(value)}", param, ctx)
        return str(value)


@click.group()
def labels() -> None:
    """See who labels, take labels back on all workers, and write labelled turns as a data set.

    \b
    Examples:
      aegis labels annotators
      aegis labels revoke --annotator ann --since 2026-01-31T12:00:00Z
      aegis labels export --out labelled.jsonl
    """


labels.add_command(export)


@labels.command()
@click.option("--annotator", required=True, type=Id(), help="Whose labels.")
@click.option("--since", type=Time(), help="From this time on, as the labels give it (labelled_at).")
@click.option("--until", type=Time(), help="Up to this time; now, unless given. May lie ahead.")
@click.option("--tenant", type=Id(), help="Of this tenant's turns only; of all, unless given.")
@click.option("--undo", is_flag=True, help="Let labels count again: those of this --since, or all of the annotator.")
def revoke(annotator: str, since: datetime | None, until: datetime | None, tenant: str | None, undo: bool) -> None:
    """Take an annotator's labels back, as if they had never been given.

    Votes on all turns that are pending (AEGIS_LABEL_HORIZON) are taken out of what was learned, exactly, and an earlier
    vote of the same annotator counts again. Labels of that time that come later do not count either. A label may lie
    about its time: a --since long ago takes all. Nothing is deleted: --undo brings all of it back.

    \b
    Examples:
      aegis labels revoke --annotator ann --since 2026-01-31T12:00:00Z
      aegis labels revoke --annotator ann --since 1970-01-01T00:00:00Z --until 2099-01-01T00:00:00Z --tenant acme
      aegis labels revoke --annotator ann --undo
    """
    hush()
    settings, now = Settings.load(), datetime.now(UTC)
    if undo:
        chosen = asyncio.run(_standing(settings, annotator, tenant, since))
        _carry_out(settings, [replace(one, undone=True, at=now) for one in chosen])
        return
    if since is None:
        raise click.UsageError("--since TIME says from when on, e.g. --since 1970-01-01T00:00:00Z for all")
    if (until or now) < since:
        raise click.UsageError("--until lies before --since: nothing would be revoked")
    _carry_out(settings, [Revocation(annotator, tenant, since, until or now, now)])


async def _standing(settings: Settings, annotator: str, tenant: str | None, since: datetime | None) -> list[Revocation]:
    """The revocations to undo. Raises DataError when there is none."""
    standing = [asked.request for asked in (await asked_so_far(settings)).revocations.values()]
    found = [one for one in standing if (one.annotator, one.tenant, one.undone) == (annotator, tenant, False)]
    found = [one for one in found if since in (None, one.since)]
    if not found:
        raise DataError("no such revocation stands: `aegis labels revocations` lists them")
    return found


def _carry_out(settings: Settings, revocations: Sequence[Revocation]) -> None:
    answers = asyncio.run(_asked(settings, revocations))
    for one, answer in zip(revocations, answers, strict=True):
        where = f"in {answer.done} of {answer.partitions} partitions"
        what = "its votes count again" if one.undone else f"{answer.count} votes set aside"
        if answer.complete:
            click.echo(f"{what}, {where}; `aegis labels revocations` lists what stands")
    if not all(answer.complete for answer in answers):
        raise click.ClickException(NOBODY)


NOBODY = "no worker runs: the request stands, and is carried out when workers do"


async def _asked(settings: Settings, revocations: Sequence[Revocation]) -> list[Answer]:
    for one in revocations:
        await ask(settings, one)
    with counting("partitions that have carried it out", len(revocations) * await partitions_of_state(settings)) as on:
        return [await until_carried_out(settings, one, on) for one in revocations]


@labels.command()
def revocations() -> None:
    """List what is revoked, and how far it is carried out.

    \b
    Example:
      aegis labels revocations
    """
    hush()
    settings = Settings.load()
    table = Table("annotator", "tenant", "since", "until", "asked", "carried out in", "votes set aside", box=None)
    for one, answer in asyncio.run(_listed(settings)):
        done = f"{answer.done} of {answer.partitions}"
        at = [_shown(instant) for instant in (one.since, one.until, one.at)]
        table.add_row(one.annotator, one.tenant or "all", *at, done, str(answer.count) if answer.complete else "–")
    if table.row_count:
        print_tables([table])
    else:
        click.echo("nothing is revoked")


async def _listed(settings: Settings) -> list[tuple[Revocation, Answer]]:
    requests, partitions = await asked_so_far(settings), await partitions_of_state(settings)
    standing = [asked.request for asked in requests.revocations.values() if not asked.request.undone]
    return [(one, answer_to(requests, key_of(one), partitions)) for one in sorted(standing, key=lambda one: one.at)]


@labels.command()
@click.option("--tenant", type=Id(), help="Of this tenant only.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Rows, most votes first.")
@click.option("--json", "as_lines", is_flag=True, help="All of them, a line of JSON each.")
def annotators(tenant: str | None, limit: int, as_lines: bool) -> None:
    """Show what each annotator said of the turns that are pending, and how often the others agree.

    Those are the turns whose labels can be revoked. `alone`: turns that nobody else labelled; `agreement`: of the
    others, on how many the majority of the others says the same, with a 95 % interval. `aside`: votes that were
    replaced or revoked. Annotators who agree with each other can all be wrong: compare them with people you trust.

    \b
    Examples:
      aegis labels annotators --tenant acme
      aegis labels annotators --json | jq -r 'select(.agreement < 0.5) | .annotator'
    """
    hush()
    settings = Settings.load()
    with counting("changelog records read") as advance:
        rows = asyncio.run(tallies(settings, advance)).rows(tenant)
    if as_lines:
        for row in rows:
            click.echo(json.dumps(_line(*row)))
        return
    table = Table("annotator", "tenant", "votes", "share", "alone", "with others", "agreement", "aside", box=None)
    for each, annotator, share, tally in rows[:limit]:
        counts = [f"{tally.votes:,}", f"{share:.1%}", f"{tally.alone:,}", f"{tally.shared:,}"]
        table.add_row(annotator, each, *counts, _agreement(tally), f"{tally.aside:,}")
    if rows:
        print_tables([table])
    click.echo(f"{len(rows):,} annotators" + (f", {limit} shown" if len(rows) > limit else ""))


def _agreement(tally: Tally) -> str:
    if tally.agreement is None:
        return "–"
    share, low, high = tally.agreement
    return f"{share:.0%} ({low:.0%} to {high:.0%})"


def _line(tenant: str, annotator: str, share: float, tally: Tally) -> dict[str, Any]:
    agreement, low, high = tally.agreement or (None, None, None)
    return {
        "tenant": tenant,
        "annotator": annotator,
        "votes": tally.votes,
        "share": share,
        "alone": tally.alone,
        "shared": tally.shared,
        "agreed": tally.agreed,
        "agreement": agreement,
        "low": low,
        "high": high,
        "aside": tally.aside,
    }


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
