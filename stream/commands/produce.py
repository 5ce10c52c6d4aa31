"""`aegis produce`."""

from __future__ import annotations

import asyncio
import time

import click

from stream.codecs import Rejected, decode_label, decode_turn
from stream.commands import hush
from stream.commands.files import complain, input_file
from stream.commands.progress import Advance, counting
from stream.lines import Line, Readable, read_lines
from stream.records import Label, Turn
from stream.sending import Outbound, Sender
from stream.settings import Settings
from stream.topics import TopicNames

INTERRUPTED = 130
"""What a shell reports of a command that Ctrl-C ended."""


class Production:
    """One run: the lines of a file to a topic, and how many went and how many could not."""

    def __init__(self, settings: Settings, kind: str, name: str) -> None:
        self._settings = settings
        self._kind = kind
        self._name = name
        self.sent = self.bad = 0

    def run(self, file: Readable, sender: Sender, runner: asyncio.Runner, advance: Advance) -> None:
        """Sends line after line; what is wrong with one is said at once and the others go on."""

        def acknowledged(count: int) -> None:
            self.sent += count
            advance(count)

        for lines in read_lines(file):
            checked = [self._check(line) for line in lines]
            records = [record for record in checked if record is not None]
            for number, reason in runner.run(sender.send(records, acknowledged)):
                self._refuse(number, Rejected("refused", reason))

    def _check(self, line: Line) -> Outbound | None:
        record = line.problem or self._decode(line.value)
        if isinstance(record, Rejected):
            self._refuse(line.number, record)
            return None
        return Outbound(line.number, record.conversation_id.encode(), line.value)

    def _decode(self, value: bytes) -> Turn | Label | Rejected:
        return decode_turn(value, self._settings.max_text_bytes) if self._kind == "turns" else decode_label(value)

    def _refuse(self, number: int, why: Rejected) -> None:
        self.bad += 1
        complain(self._name, number, why)


@click.command(short_help="Send turns or labels from a file.")
@click.argument("file")
@click.option("--topic", type=click.Choice(["turns", "labels"]), default="turns", show_default=True, help="Where to.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Records a second.  [default: no limit]")
def produce(file: str, topic: str, rate: float | None) -> None:
    """Send the turns or labels of FILE, one JSON object a line; `-` reads standard input.

    Every line is checked against the contract first. A bad one is named with its reason on standard error and not
    sent; the others are, and the exit code is 1. The key is the conversation_id, and all replicas must have a record.

    \b
    Examples:
      aegis produce turns.jsonl
      aegis produce --topic labels --rate 20 labels.jsonl
      tail -f turns.jsonl | aegis produce -
    """
    hush()
    settings = Settings.load()
    name, began = getattr(TopicNames.of(settings), topic), time.monotonic()
    with input_file(file) as (lines, shown), asyncio.Runner() as runner, counting("sent") as advance:
        production = Production(settings, topic, shown)
        sender = runner.run(Sender(settings, name, rate).start())
        try:
            production.run(lines, sender, runner, advance)
        except KeyboardInterrupt:
            click.echo(f"interrupted: {production.sent:,} {topic} sent to {name}", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        finally:
            runner.run(sender.stop())
    seconds = max(time.monotonic() - began, 1e-3)
    rate = production.sent / seconds
    click.echo(f"{production.sent:,} {topic} sent to {name} in {seconds:.1f} s ({rate:,.0f} a second)")
    if production.bad:
        raise click.ClickException(f"{production.bad:,} lines of {shown} were not sent, each named above: mend them")
