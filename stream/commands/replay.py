"""`aegis replay`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from ensemble.policy import Policy
from stream.commands import hush
from stream.commands.progress import counting
from stream.commands.replay_input import Tested, gather, is_labelled_turns
from stream.commands.tables import print_tables
from stream.policies import Policies
from stream.replay.page import render
from stream.replay.results import Tried
from stream.replay.runner import RULES, results
from stream.replay.runner import replay as run
from stream.replay.stream import Coming, Stream
from stream.replay.tables import tables
from stream.settings import Settings, seconds
from stream.simulation import Reading


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
@click.option("--candidate", metavar="DIR|NAME", help="Ask this expert about the turns too, and report what it adds.")
@click.option("--turns", type=click.Path(path_type=Path), help="The turns' texts for it, as lines; else their topic.")
@click.option("--changes", type=click.Path(dir_okay=False, path_type=Path), help="Write the changed turns' ids there.")
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
    candidate: str | None,
    turns: Path | None,
    changes: Path | None,
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

    Verdicts that would have been others are counted, beside what people said of these turns; --changes names them, a
    line of JSON each, without their texts. With --candidate an expert that was not there (a folder, or a name in
    AEGIS_EXPERTS_DIR) reads the texts of the turns now, from their topic or from --turns, and votes beside those that
    were; everything is told with it and without it.

    \b
    Examples:
      aegis replay verdicts.jsonl labels.jsonl --out report.html
      aegis replay --broker 127.0.0.1:9092 --delay 6h --label-rate 0.1
      aegis replay labelled.jsonl --forecaster exponential --forecaster squint
      aegis replay verdicts.jsonl labels.jsonl --policy permissive --switch-policy defensive@50%
      aegis replay --policy defensive --changes changed.jsonl
      aegis replay --candidate experts-of-ours/toxic --out report.html
      aegis replay verdicts.jsonl labels.jsonl --candidate lexical --turns turns.jsonl
    """
    hush()
    if data and broker:
        raise click.UsageError("DATA or --broker, not both: topics are read without DATA")
    if as_published and (delay or delay_turns or label_rate < 1.0):
        raise click.UsageError("--as-published takes labels as they were read: no --delay, --delay-turns, --label-rate")
    _check_candidate(data, candidate, turns, as_published)
    settings = Settings.load(**({"broker": broker} if broker else {}))
    switches = [Switch.parse(text) for text in switched]
    coming = Coming(delay, delay_turns, label_rate, seed, as_published)
    tested = None if candidate is None else Tested(candidate, turns)
    stream, bad, asked = gather(data, settings, coming, tested)
    readings = readings_of(stream, settings, policy, switches)
    rules = tuple(dict.fromkeys(forecasters))
    tried = Tried(policy, switched, rules, delay, delay_turns, label_rate, seed, together, as_published)
    tried = msgspec.structs.replace(tried, candidate=None if asked is None else asked.id)
    runs = max(1, len(tried.forecasters)) * (1 if asked is None else 2)
    with counting("replayed", len(stream.turns) * runs) as advance:
        courses = run(stream, readings, tried, advance)
    found = results(stream, courses, tried, bad, asked)
    print_tables(tables(found))
    if changes is not None:
        lines = [msgspec.json.encode(turn) + b"\n" for course in courses for turn in course.changed]
        changes.write_bytes(b"".join(lines))
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    if out is not None:
        out.write_text(render(found, stream, courses), encoding="utf-8")
    if bad:
        raise click.ClickException(f"{bad:,} lines were not read, each named above: mend them")


def _check_candidate(data: Sequence[str], candidate: str | None, turns: Path | None, as_published: bool) -> None:
    """Raises click.UsageError for options that contradict each other."""
    if candidate is None and turns is not None:
        raise click.UsageError("--turns holds the texts for --candidate: name the expert")
    if candidate is not None and as_published:
        raise click.UsageError("--as-published judges scores in which a candidate had no part: leave one of them")
    if candidate is not None and data and turns is None and not any(map(is_labelled_turns, data)):
        raise click.UsageError("verdicts hold no texts: name a file of the turns with --turns, or give no DATA")
