"""`aegis tail`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

import click
from rich.console import Console

from stream.codecs import Rejected
from stream.commands import hush
from stream.following import existing, follow
from stream.rendering import as_columns, as_json, asks, full_name, kind_of
from stream.settings import Settings
from stream.topics import TopicNames


class Printer:
    """Writes one line a record: columns on a terminal, JSON elsewhere; what has no such line is named on standard
    error."""

    def __init__(self, kind: str | None, show_text: bool, columns: bool) -> None:
        self._kind = kind
        self._show_text = show_text
        self._columns = columns
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._out = click.get_binary_stream("stdout")

    def write(self, record: Any) -> None:
        """Prints a record; a program that reads the other end of a pipe has it at once."""
        line: Any = (as_columns if self._columns else as_json)(self._kind, record, self._show_text)
        if isinstance(line, Rejected):
            click.echo(f"{record.topic}[{record.partition}]@{record.offset}: {line.detail}", err=True)
        elif self._columns:
            self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        else:
            self._out.write(line + b"\n")
            self._out.flush()


async def print_records(
    batches: AsyncGenerator[list[Any], None],
    write: Callable[[Any], None],
    limit: int | None,
    wanted: Callable[[Any], bool] | None = None,
) -> None:
    """Writes record after record, `limit` at most; only those that are wanted."""
    count = 0
    async with aclosing(batches) as source:
        async for records in source:
            for record in filter(wanted, records) if wanted else records:
                write(record)
                count += 1
                if count == limit:
                    return


@click.command(short_help="Print the records of a topic as they come.")
@click.argument("topic")
@click.option("--from-beginning", is_flag=True, help="Begin with what is there already, not with what comes.")
@click.option("--follow/--no-follow", "on", default=True, show_default=True, help="Wait for more, or end at the end.")
@click.option("--limit", type=click.IntRange(min=1), help="End after so many records.")
@click.option("--json", "as_lines", is_flag=True, help="JSON lines, also on a terminal.")
@click.option("--asked", is_flag=True, help="Only verdicts that ask for a label.")
@click.option("--show-text", is_flag=True, help="People's texts too, in columns and of dead letters.")
def tail(
    topic: str, from_beginning: bool, on: bool, limit: int | None, as_lines: bool, asked: bool, show_text: bool
) -> None:
    """Print the records of TOPIC, one a line, as they come.

    TOPIC is turns, labels, verdicts, dead-letters or weights, or the full name of any topic. On a terminal it prints
    columns; into a pipe or a file, JSON: the record as it is, and of a dead letter its reason, source and size.
    --no-follow prints what is there now, from the beginning. Ctrl-C ends it.

    \b
    Examples:
      aegis tail verdicts
      aegis tail verdicts --asked
      aegis tail dead-letters --from-beginning --show-text
      aegis tail verdicts --no-follow | jq -r 'select(.label == "unsafe") | .turn_id'
    """
    hush()
    settings = Settings.load()
    names = TopicNames.of(settings)
    name = full_name(topic, names)
    kind = kind_of(name, names)
    if asked and kind != "verdicts":
        raise click.UsageError("--asked is for verdicts: aegis tail verdicts --asked")
    printer = Printer(kind, show_text, sys.stdout.isatty() and not as_lines)
    batches = follow(settings, name, from_beginning) if on else existing(settings, name)
    with suppress(KeyboardInterrupt):
        asyncio.run(print_records(batches, printer.write, limit, asks if asked else None))
