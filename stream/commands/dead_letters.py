"""`aegis dead-letters`: what could not be used, why, and how it goes back once it is mended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, aclosing
from datetime import datetime
from functools import wraps
from typing import Any, Final

import click
import msgspec

from stream.commands import hush
from stream.commands.dead_letters_options import PLACE, SOURCE, fully_named, read_value
from stream.commands.dead_letters_shown import counted, escaped, full, listed, table_of
from stream.commands.progress import counting
from stream.commands.since import Moment
from stream.commands.tables import print_tables
from stream.errors import DataError
from stream.letterbox import letters
from stream.letters import Letter, Place, SourceOf, Wanted, letter
from stream.resending import Refused, Replayer
from stream.settings import Settings
from stream.topics import TopicNames

INTERRUPTED: Final = 130
"""What a shell reports of a command that Ctrl-C ended."""
ROWS: Final = 1_000
"""Of a table, unless --limit says otherwise: a screen has fewer, and all rows of a table are kept to align them."""
NOTHING: Final = "no dead letter matches: `aegis dead-letters list` shows what is there"


@click.group("dead-letters", short_help="Look at what could not be used, and send it again.")
def dead_letters() -> None:
    """Look at what could not be used, and send it again once it is mended.

    \b
    Example:
      aegis dead-letters list --count
    """
    hush()


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose letters; the command is given `wanted`."""

    @click.option("--reason", "reasons", multiple=True, help="Only with this reason; several: with any of them.")
    @click.option("--source", "sources", multiple=True, type=SOURCE, help="Only from this topic, partition or message.")
    @click.option("--since", type=Moment(), help="Only dead letters since then.")
    @click.option("--until", type=Moment(), help="Only dead letters before then.")
    @click.option("--limit", type=click.IntRange(min=1), help="So many at most.")
    @wraps(command)
    def filtered(
        reasons: tuple[str, ...],
        sources: tuple[SourceOf, ...],
        since: datetime | None,
        until: datetime | None,
        **others: Any,
    ) -> None:
        settings = Settings.load()
        named = tuple(fully_named(source, TopicNames.of(settings)) for source in sources)
        wanted = Wanted(frozenset(reasons), named, _ms(since), _ms(until))
        command(settings=settings, wanted=wanted, **others)

    return filtered


def _ms(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp() * 1000)


@dead_letters.command("list")
@_filters
@click.option("--json", "as_lines", is_flag=True, help="JSON lines, not a table.")
@click.option("--count", "only_count", is_flag=True, help="How many, by reason and source topic.")
def list_(settings: Settings, wanted: Wanted, limit: int | None, as_lines: bool, only_count: bool) -> None:
    """List dead letters: place, time, reason, source, size, and how often each had been sent again. Never the text.

    SOURCE is turns, labels or a full name of a topic, TOPIC:PARTITION or TOPIC:PARTITION:OFFSET.

    \b
    Examples:
      aegis dead-letters list --since 2h
      aegis dead-letters list --reason text_too_large --source turns:3 --json
      aegis dead-letters list --count
    """
    if only_count:
        counts = asyncio.run(_count(settings, wanted, limit))
        if as_lines:
            _print_lines({"reason": pair[0], "source": pair[1], "count": count} for pair, count in counts.most_common())
        else:
            print_tables([counted(counts)])
    elif as_lines:
        asyncio.run(_each(settings, wanted, limit, lambda told: _print_lines([told])))
    else:
        found: list[Letter] = []
        asyncio.run(_each(settings, wanted, limit or ROWS + 1, found.append))
        print_tables([listed(found if limit else found[:ROWS])])
        if not limit and len(found) > ROWS:
            click.echo(f"the first {ROWS:,} are shown: choose with --since, --reason, --source or --limit", err=True)


async def _each(settings: Settings, wanted: Wanted, limit: int | None, take: Callable[[Letter], None]) -> None:
    async with aclosing(letters(settings, wanted, limit)) as source:
        async for records in source:
            for record in records:
                take(letter(record))


async def _count(settings: Settings, wanted: Wanted, limit: int | None) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()

    def take(told: Letter) -> None:
        counts[told.reason, told.topic] += 1

    await _each(settings, wanted, limit, take)
    return counts


def _print_lines(rows: Iterable[Any]) -> None:
    out = click.get_binary_stream("stdout")
    for row in rows:
        out.write(msgspec.json.encode(row) + b"\n")
    out.flush()


@dead_letters.command()
@click.argument("place", type=PLACE)
@click.option("--bytes", "as_bytes", is_flag=True, help="Only the message, as it came, to standard output.")
@click.option("--text", "as_text", is_flag=True, help="The message too, with what is no plain character escaped.")
def show(place: Place, as_bytes: bool, as_text: bool) -> None:
    """Show the dead letter at PLACE, which `aegis dead-letters list` tells: headers, and the message only when asked.

    \b
    Examples:
      aegis dead-letters show 3:1042
      aegis dead-letters show 3:1042 --bytes > message.json
    """
    if as_bytes and as_text:
        raise click.UsageError("--bytes writes the message alone: choose --bytes or --text")
    record = asyncio.run(_one(Settings.load(), place))
    if as_bytes:
        click.get_binary_stream("stdout").write(record.value or b"")
        return
    print_tables([table_of(full(record))])
    if as_text:
        click.echo(escaped((record.value or b"").decode(errors="backslashreplace")))


async def _one(settings: Settings, place: Place) -> Any:
    async with aclosing(letters(settings, Wanted(places=frozenset([place])))) as source:
        async for records in source:
            return records[0]
    raise DataError(f"there is no dead letter at {place}")  # pragma: no cover  # `letters` has said so


@dead_letters.command()
@click.argument("places", nargs=-1, type=PLACE)
@_filters
@click.option("--all", "every", is_flag=True, help="All that are there, whatever the reason.")
@click.option("--value", "file", help="Send what this file holds (- is standard input) in place of the one message.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
def replay(
    places: tuple[Place, ...],
    settings: Settings,
    wanted: Wanted,
    limit: int | None,
    every: bool,
    file: str | None,
    dry_run: bool,
) -> None:
    """Send dead letters back to the topic that each came from: those at PLACES, or all that the options choose.

    Mend first what was wrong: raise a limit, send the turn that a label speaks of, or give the mended message with
    --value. A message that is sent twice changes nothing, so this may be interrupted and run again. One that fails
    again becomes a dead letter once more, which `list` shows with how often it was sent.

    \b
    Examples:
      aegis dead-letters replay --reason text_too_large --since 1d
      aegis dead-letters replay 3:1042 --value mended.json
      aegis dead-letters replay --source labels --reason turn_not_found --dry-run
    """
    if places and (wanted or every or limit):
        raise click.UsageError("name places, or choose with options, not both")
    if not places and not wanted and not every:
        raise click.UsageError("say which: places, --reason, --source, --since, --until, or --all")
    if file is not None and len(places) != 1:
        raise click.UsageError("--value mends one message: name its place")
    chosen = Wanted(places=frozenset(places)) if places else wanted
    if dry_run:
        _tell(settings, chosen, limit)
        return
    run = _Run(settings, read_value(file) if file is not None else None)
    try:
        with counting("sent again") as advance:
            asyncio.run(run(chosen, limit, advance))
    except KeyboardInterrupt:
        click.echo(f"interrupted: {run.said}; run it again, nothing counts twice", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    if not run.found:
        raise DataError(NOTHING)
    click.echo(run.said)
    if run.refused:
        raise click.ClickException(f"{run.refused:,} dead letters were not sent, each named above")


class _Run:
    """One replay, and what has come of it so far."""

    def __init__(self, settings: Settings, value: bytes | None) -> None:
        self._settings, self._value = settings, value
        self._replayer = Replayer(settings)
        self.found = self.refused = 0

    @property
    def said(self) -> str:
        topics = [f"{count:,} to {topic}" for topic, count in self._replayer.sent.items()]
        return f"{self._replayer.sent.total():,} dead letters sent again{': ' if topics else ''}{', '.join(topics)}"

    async def __call__(self, wanted: Wanted, limit: int | None, advance: Callable[[int], None]) -> None:
        async with AsyncExitStack() as stack:
            source = await stack.enter_async_context(aclosing(letters(self._settings, wanted, limit)))
            async for records in source:
                if not self.found:  # not before: a wrong place is said without a connection to the inputs
                    await stack.enter_async_context(self._replayer)
                self.found += len(records)
                self._complain(
                    await self._replayer.send(records, advance)
                    if self._value is None
                    else await self._replayer.send_mended(records[0], self._value, advance)
                )

    def _complain(self, refused: Iterable[Refused]) -> None:
        for place, why in refused:
            self.refused += 1
            click.echo(f"{place}: {why}", err=True)


def _tell(settings: Settings, wanted: Wanted, limit: int | None) -> None:
    """What a replay would send, by reason and source."""
    counts = asyncio.run(_count(settings, wanted, limit))
    if not counts:
        raise DataError(NOTHING)
    print_tables([counted(counts)])
    inputs = {TopicNames.of(settings).turns, TopicNames.of(settings).labels}
    sendable = sum(count for (_, source), count in counts.items() if source in inputs)
    click.echo(f"{sendable:,} of {counts.total():,} dead letters would be sent again; nothing was sent")
