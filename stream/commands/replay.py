"""`aegis replay`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from ensemble.policy import Policy
from experts.base import STATUS_NAMES
from stream.asked import asked_so_far
from stream.codecs import Rejected
from stream.commands import hush
from stream.commands.evaluate import labelled
from stream.commands.evaluate import open_panel as open_experts
from stream.commands.files import complain, input_file
from stream.commands.progress import Advance, counting
from stream.commands.tables import print_tables
from stream.counting import Countings
from stream.errors import DataError
from stream.evaluation.runner import score_sets
from stream.evaluation.scoring import together as joined
from stream.following import existing
from stream.lines import Readable, read_lines
from stream.policies import Policies
from stream.replay.page import render
from stream.replay.results import Tried
from stream.replay.runner import RULES, results
from stream.replay.runner import replay as run
from stream.replay.stream import Coming, Stream, from_rows, from_tape
from stream.replay.tables import tables
from stream.replay.tape import Tape, from_records
from stream.requests import Requests
from stream.settings import Settings, seconds
from stream.simulation import Reading
from stream.topics import TopicNames


class Duration(click.ParamType):
    """7d, 36h, 90m, 10s, 200ms or a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds, or one line that says what a duration is."""
        try:
            return float(seconds(value))  # type: ignore[arg-type]  # a number, or it has raised
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True)
class Switch:
    """`strict@0.5`, `strict@50%` or `strict@2026-01-31T12:00:00Z`: a policy, and from when on it holds."""

    text: str
    policy: str
    fraction: float
    time: float | None

    @classmethod
    def parse(cls, text: str) -> Switch:
        """Raises click.BadParameter, one line, for a text that is no switch."""
        policy, at, when = text.rpartition("@")
        try:
            share = float(when.removesuffix("%")) / (100 if when.endswith("%") else 1)
            if at and policy and 0.0 <= share <= 1.0:
                return cls(text, policy, share, None)
        except ValueError:
            try:
                instant = datetime.fromisoformat(when)
                if at and policy and instant.tzinfo is not None:
                    return cls(text, policy, 0.0, instant.timestamp())
            except ValueError:
                pass
        wanted = "NAME@ and a share of the turns (0.5 or 50%) or a time with an offset (2026-01-31T12:00:00Z)"
        raise click.BadParameter(f"{text!r} is no switch: write {wanted}", param_hint="--switch-policy")

    def turn(self, stream: Stream) -> int:
        """The first turn under the policy."""
        at = stream.turns.at
        return int(np.searchsorted(at, self.time)) if self.time is not None else round(self.fraction * len(at))


def read_files(names: Sequence[str], advance: Advance) -> tuple[Tape, int]:
    """What the files hold, and how many lines could not be read, each named on standard error."""
    tape, bad = Tape(), 0
    for file in names:
        with input_file(file) as (lines, name):
            bad += _read(lines, name, tape, advance)
    return tape, bad


def _read(file: Readable, name: str, tape: Tape, advance: Advance) -> int:
    bad = 0
    for lines in read_lines(file):
        for line in lines:
            if problem := line.problem or tape.line(line.value):
                complain(name, line.number, problem)
                bad += 1
        advance(len(lines))
    return bad


async def read_topics(settings: Settings, advance: Advance) -> tuple[Tape, int]:
    """The verdicts and labels that the broker held when this began, and how many records could not be read."""
    names, tape, bad = TopicNames.of(settings), Tape(), list[str]()

    def refuse(record: Any, why: Rejected) -> None:
        bad.append(f"{record.topic}[{record.partition}]@{record.offset}: {why.detail}")

    for topic, take in (
        (names.verdicts, lambda record: tape.verdict(record.value)),
        (names.labels, lambda record: tape.label(record.value, record.key, record.timestamp)),
    ):
        found: list[Any] = []
        async with aclosing(existing(settings, topic)) as batches:
            async for records in batches:
                found += records
                advance(len(records))
        from_records(found, take, refuse)
    for line in bad:
        click.echo(line, err=True)
    return tape, len(bad)


def is_labelled_turns(path: str) -> bool:
    """Whether this is what `aegis evaluate` reads: a folder, a .gz, or a file whose first line has `unsafe`."""
    if path == "-":
        return False
    file = Path(path)
    if file.is_dir() or file.suffix == ".gz":
        return True
    try:
        with file.open("rb") as lines:
            first = next((line for line in lines if line.strip()), b"")
        return "unsafe" in msgspec.json.decode(first, type=dict[str, msgspec.Raw])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False  # whoever reads it says what is wrong with it


def score_rows(paths: Sequence[Path], settings: Settings, coming: Coming) -> Stream:
    """Labelled turns, one file after the other, that the experts of the settings are asked about."""
    failures: Counter[tuple[str, int]] = Counter()
    sets = labelled(paths, None, 0, skip_bad=False)
    panel = open_experts(settings, lambda expert, status, count: failures.update({(expert, status): count}))
    try:
        with counting("scoring", sum(len(one.rows) for one in sets)) as advance:
            scored = joined(score_sets(panel, sets, advance))
    finally:
        panel.close()
    for (expert, status), count in sorted(failures.items()):
        click.echo(f"{expert} slept on {count} turns ({STATUS_NAMES[status]})", err=True)
    return from_rows(scored, coming)


def gather(data: Sequence[str], settings: Settings, coming: Coming) -> tuple[Stream, int]:
    """The stream, and how many lines or records could not be read. DataError when there is no turn."""
    rows = [is_labelled_turns(path) for path in data]
    if any(rows):
        if not all(rows) or coming.as_published:
            raise DataError("labelled turns were never published: give them alone, and without --as-published")
        return score_rows([Path(path) for path in data], settings, coming), 0
    with counting("read") as advance:
        tape, bad = read_files(data, advance) if data else asyncio.run(read_topics(settings, advance))
        requests = Requests() if data else asyncio.run(asked_so_far(settings))
    if not tape.verdicts:
        where = "the files hold" if data else f"{TopicNames.of(settings).verdicts} holds"
        raise DataError(f"{where} no verdict: give those that `aegis tail verdicts --no-follow` prints, or a broker")
    return from_tape(tape, coming, Countings(Policies(settings), requests).of), bad


def readings_of(stream: Stream, settings: Settings, policy: str | None, switches: Sequence[Switch]) -> list[Reading]:
    """What is read how, from when on. Raises click.BadParameter for a policy that is not defined."""
    known = settings.defined_policies()
    for name, hint in [(policy, "--policy"), *((switch.policy, "--switch-policy") for switch in switches)]:
        if name is not None and name not in known:
            raise click.BadParameter(f"there is no policy {name!r}: use one of {', '.join(known)}", param_hint=hint)

    def always(name: str) -> Callable[[str], Policy]:
        return lambda context: known[name]

    first = Reading(0, always(policy) if policy else Policies(settings).of)
    later = [Reading(switch.turn(stream), always(switch.policy)) for switch in switches]
    return [first, *sorted(later, key=lambda reading: reading.since)]


@click.command("replay", short_help="Run yesterday's labels through the learner, otherwise.")
@click.argument("data", nargs=-1, type=str)
@click.option("--broker", metavar="HOST:PORT", help="Without DATA: read the topics there.  [default: AEGIS_BROKER]")
@click.option("--policy", metavar="NAME", help="Read every label so, not as the settings say for each tenant.")
@click.option(
    "--switch-policy", "switched", multiple=True, metavar="NAME@WHEN", help="From a share of the turns or a time on."
)
@click.option("--forecaster", "forecasters", multiple=True, type=click.Choice(RULES), help="Try this rule; repeatable.")
@click.option("--delay", type=Duration(), default=0.0, help="Labels come so much later than they did, e.g. 6h.")
@click.option("--delay-turns", type=click.IntRange(min=0), default=0, help="And then so many turns later.")
@click.option(
    "--label-rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Only this share of the turns is labelled, and each counts for the others.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which turns that are.")
@click.option(
    "--together",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Learn so many labels of a context at once: faster, and their wait is in the delay.",
)
@click.option("--as-published", is_flag=True, help="Learn about the scores that were published; see above.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures there.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with plots there.")
def replay(
    data: tuple[str, ...],
    broker: str | None,
    policy: str | None,
    switched: tuple[str, ...],
    forecasters: tuple[str, ...],
    delay: float,
    delay_turns: int,
    label_rate: float,
    seed: int,
    together: int,
    as_published: bool,
    json_file: Path | None,
    out: Path | None,
) -> None:
    """Run the verdicts and labels of DATA through the learner, with other delays, label rates, policies or rules.

    DATA is files of JSON lines, `-` for standard input: verdicts and labels as `aegis tail` prints them, in any order;
    or labelled turns as `aegis evaluate` reads them, which the experts score first. Without DATA the topics of a broker
    are read, from their beginning to their end now.

    The experts' stored scores are used, never a new run of theirs. What is computed again is the forecast of each turn,
    from the labels that had come when it was scored, and all that follows from it: scores, weights, losses, regret and
    bound. With --as-published the scores are those of the verdicts, and each turn is forecast from as many labelled
    turns as its verdict says were read; only the forecasts of each half-life, which no verdict tells, are computed
    again. The same input and options give the same bytes. A bad line is named on standard error, the others count, and
    the exit code is 1.

    \b
    Examples:
      aegis replay verdicts.jsonl labels.jsonl --out report.html
      aegis replay --broker 127.0.0.1:9092 --delay 6h --label-rate 0.1
      aegis replay labelled.jsonl --forecaster exponential --forecaster squint
      aegis replay verdicts.jsonl labels.jsonl --policy permissive --switch-policy defensive@50%
    """
    hush()
    if data and broker:
        raise click.UsageError("DATA or --broker, not both: topics are read without DATA")
    if as_published and (delay or delay_turns or label_rate < 1.0):
        raise click.UsageError("--as-published takes labels as they were read: no --delay, --delay-turns, --label-rate")
    settings = Settings.load(**({"broker": broker} if broker else {}))
    switches = [Switch.parse(text) for text in switched]
    coming = Coming(delay, delay_turns, label_rate, seed, as_published)
    stream, bad = gather(data, settings, coming)
    readings = readings_of(stream, settings, policy, switches)
    rules = tuple(dict.fromkeys(forecasters))
    tried = Tried(policy, switched, rules, delay, delay_turns, label_rate, seed, together, as_published)
    with counting("replayed", len(stream.turns) * max(1, len(tried.forecasters))) as advance:
        courses = run(stream, readings, tried, advance)
    found = results(stream, courses, tried, bad)
    print_tables(tables(found))
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    if out is not None:
        out.write_text(render(found, stream, courses), encoding="utf-8")
    if bad:
        raise click.ClickException(f"{bad:,} lines were not read, each named above: mend them")
