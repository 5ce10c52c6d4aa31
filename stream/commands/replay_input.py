"""What `aegis replay` reads: files and topics, and what a candidate says of their turns."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from experts.base import STATUS_NAMES
from stream.asked import asked_so_far
from stream.codecs import Rejected, decode_turn
from stream.commands.evaluate import labelled
from stream.commands.evaluate import open_panel as open_experts
from stream.commands.files import complain, input_file
from stream.commands.progress import Advance, counting
from stream.counting import Countings
from stream.errors import DataError
from stream.evaluation.runner import score_sets
from stream.evaluation.scoring import together as joined
from stream.following import existing
from stream.lines import Readable, read_lines
from stream.policies import Policies
from stream.replay.candidate import Asking, Name, ask_of_topic, open_candidate, with_candidate
from stream.replay.results import Candidate
from stream.replay.stream import Coming, Stream, from_rows, from_tape
from stream.replay.tape import Tape, from_records
from stream.requests import Requests, milliseconds
from stream.settings import Settings
from stream.topics import TopicNames


class Gathered(NamedTuple):
    """The stream, how many lines or records could not be read, and the candidate that was asked about it."""

    stream: Stream
    bad: int
    candidate: Candidate | None = None


class Tested(NamedTuple):
    """An expert to try: the name or folder, and the file with the turns' texts; None: their topic."""

    expert: str
    turns: Path | None


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


def gather(data: Sequence[str], settings: Settings, coming: Coming, tested: Tested | None = None) -> Gathered:
    """Reads it. DataError when there is no turn."""
    rows = [is_labelled_turns(path) for path in data]
    if any(rows):
        if not all(rows) or coming.as_published:
            raise DataError("labelled turns were never published: give them alone, and without --as-published")
        if tested is not None:
            raise DataError("labelled turns are scored by the experts of the settings: name the candidate among those")
        return Gathered(score_rows([Path(path) for path in data], settings, coming), 0)
    with counting("read") as advance:
        tape, bad = read_files(data, advance) if data else asyncio.run(read_topics(settings, advance))
        requests = Requests() if data else asyncio.run(asked_so_far(settings))
    if not tape.verdicts:
        where = "the files hold" if data else f"{TopicNames.of(settings).verdicts} holds"
        raise DataError(f"{where} no verdict: give those that `aegis tail verdicts --no-follow` prints, or a broker")
    candidate = None
    if tested is not None:
        tape, candidate, unread = _tried(settings, tested, tape, requests)
        bad += unread
    return Gathered(from_tape(tape, coming, Countings(Policies(settings), requests).of), bad, candidate)


def _tried(settings: Settings, tested: Tested, tape: Tape, requests: Requests) -> tuple[Tape, Candidate, int]:
    """Asks the candidate about every turn whose text is there; also how many lines of the file could not be read."""
    failures, bad = Counter[int](), 0
    wanted: set[Name] = {(each.tenant, each.turn_id) for each in tape.verdicts}
    panel = open_candidate(settings, tested.expert, lambda expert, status, count: failures.update({status: count}))
    (expert,) = panel.ids
    try:
        with counting(f"scored by {expert}", len(wanted)) as advance:
            asking = Asking(settings, panel, wanted, requests, advance)
            if tested.turns is not None:
                bad = _ask_of_file(settings, asking, tested.turns)
            else:
                first = min(milliseconds(each.scored_at) for each in tape.verdicts)
                asyncio.run(ask_of_topic(settings, asking, first))
    finally:
        panel.close()
    for status, count in sorted(failures.items()):
        click.echo(f"{expert} slept on {count:,} turns ({STATUS_NAMES[status]})", err=True)
    if not asking.scores:
        where = tested.turns or TopicNames.of(settings).turns
        raise DataError(f"{where} holds none of the turns of these verdicts: the candidate has nothing to read")
    told, candidate = with_candidate(tape, expert, asking.scores)
    return told, candidate, bad


def _ask_of_file(settings: Settings, asking: Asking, file: Path) -> int:
    """Turns a line, in the order of their conversations; returns how many lines could not be read."""
    bad = 0
    with input_file(str(file)) as (lines, name):
        for some in read_lines(lines):
            for line in some:
                turn = line.problem or decode_turn(line.value, settings.max_text_bytes)
                if isinstance(turn, Rejected):
                    complain(name, line.number, turn)
                    bad += 1
                else:
                    asking.take(turn, 0, line.number, milliseconds(turn.sent_at))
    asking.ask()
    return bad
