"""`aegis score`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import IO

import click

from experts.base import STATUS_NAMES
from stream.codecs import Rejected, decode_turn, encode
from stream.commands.files import complain, input_file, output_file
from stream.commands.progress import Advance, counting
from stream.lines import Line, Readable, read_lines
from stream.offline import OfflineScorer
from stream.panels import open_panel
from stream.records import Turn
from stream.settings import Settings


class Scoring:
    """One run: the turns of a file to verdicts, in order, and how many lines could not be used."""

    def __init__(self, scorer: OfflineScorer, max_text_bytes: int, name: str) -> None:
        self._scorer = scorer
        self._max_text_bytes = max_text_bytes
        self._name = name
        self.bad = 0

    def run(self, file: Readable, out: IO[bytes], advance: Advance) -> None:
        """Writes the verdicts of each batch before the next is read."""
        for lines in read_lines(file):
            turns = list(self._turns(lines))
            while turns:
                size = self._scorer.size()
                batch, turns = turns[:size], turns[size:]
                out.writelines(encode(verdict) + b"\n" for verdict in self._scorer.score(batch))
                out.flush()
                advance(len(batch))

    def _turns(self, lines: list[Line]) -> Iterator[tuple[int, Turn]]:
        for line in lines:
            turn = line.problem or decode_turn(line.value, self._max_text_bytes)
            if isinstance(turn, Rejected):
                self.bad += 1
                complain(self._name, line.number, turn)
            else:
                yield line.number - 1, turn


@click.command(short_help="Score the turns of a file, without a broker.")
@click.argument("file")
@click.option("-o", "--output", default="-", show_default=True, help="Where the verdicts go; `-` is standard output.")
def score(file: str, output: str) -> None:
    """Score the turns of FILE without a broker: a Turn a line in, a Verdict a line out, in the same order.

    `-` reads standard input. The verdicts are those that a worker would give before it has learned anything: all
    experts weigh the same. AEGIS_POLICY and the other settings hold as for the worker. A bad line is named with its
    reason on standard error and has no verdict; the others have one, and the exit code is 1.

    \b
    Examples:
      aegis score turns.jsonl > verdicts.jsonl
      aegis tail turns --no-follow | aegis score - | jq .label
    """
    settings = Settings.load()
    failures: Counter[tuple[str, int]] = Counter()
    with input_file(file) as (lines, name), output_file(output) as out, counting("scored") as advance:
        panel = open_panel(settings, lambda expert, status, count: failures.update({(expert, status): count}))
        try:
            scoring = Scoring(OfflineScorer(settings, panel, name), settings.max_text_bytes, name)
            scoring.run(lines, out, advance)
        finally:
            panel.close()
    for (expert, status), count in sorted(failures.items()):
        click.echo(f"{expert} slept on {count} turns ({STATUS_NAMES[status]}): the other experts decided", err=True)
    if scoring.bad:
        raise click.ClickException(f"{scoring.bad:,} lines of {name} have no verdict, each named above: mend them")
