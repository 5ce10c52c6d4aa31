"""`aegis labels export`: labelled turns as a data set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import IO

import click

from stream.commands import hush
from stream.commands.files import output_file
from stream.commands.since import Moment
from stream.errors import DataError
from stream.labelled import Row, labelled_turns
from stream.labelled_forms import FORMS, Written
from stream.settings import Settings


@click.command(short_help="Write labelled turns as a data set.")
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="A file .jsonl or .csv; `-` for stdout.")
@click.option("--since", type=Moment(), help="Labels given since then.  [default: all that are kept]")
@click.option("--tenant", help="Turns of this tenant.  [default: of all]")
def export(out: str, since: datetime | None, tenant: str | None) -> None:
    """Write the turns that people labelled, with every annotator's vote, in the form of the Aegis data set.

    Columns: id, text, num_annotations, text_type, labels_0, labels_1 and so on (each a vote: Safe, Needs Caution, or
    the risks, in the order in which they were given, without names), then unsafe (what the majority says; empty: needs
    caution), role, history, categories, tenant. `aegis experts train encoder --data` and `aegis evaluate` read the JSON
    lines. Revoked labels, and texts that were forgotten or that the broker keeps no more, are left out. It holds what
    people wrote: guard the file. A spreadsheet may take a text that begins with = for a formula.

    \b
    Examples:
      aegis labels export --out labelled.jsonl --since 30d
      aegis labels export --out acme.csv --tenant acme
    """
    hush()
    form = "jsonl" if out == "-" else Path(out).suffix.removeprefix(".")
    if form not in FORMS:
        raise click.UsageError(f"{out} ends neither in .jsonl nor in .csv: name the form by its end")
    settings = Settings.load()
    with output_file(out) as file:
        count = asyncio.run(write(file, labelled_turns(settings, since, tenant), FORMS[form]()))
    if not count:
        raise DataError("no labelled turn was found: `aegis tail labels --no-follow` shows what labels there are")
    click.echo(f"{count:,} labelled turns written to {out}", err=True)


async def write(file: IO[bytes], rows: AsyncGenerator[Row, None], written: Written) -> int:
    """Writes every row; how many there were."""
    count = 0
    async with aclosing(rows) as found:
        async for row in found:
            file.write(written(row))
            count += 1
    return count
