"""The oracle: what a worker must have done with its inputs, told from the topics alone, and in what it did otherwise.

It knows nothing of the worker's run: which worker, how often it was killed, or in which order things were read."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from ensemble.policy import CLASSES
from experts.base import OK, SHADOW
from stream import dead_letters, projection, state
from stream.codecs import Rejected, decode_label, decode_turn, encode
from stream.labels import MOST_ANNOTATORS
from stream.records import Label, Turn, Verdict
from stream.routing import FIRST, TRIED, TRIES, candidates
from stream.settings import Settings
from stream.topics import TopicNames
from stream.verdicts import verdict
from support.ballots import Ballots, Said, Votes
from support.decided import ask_problems, prior_problems
from support.logs import Logs, following_all, read_all, read_logs
from support.replayed import compare_moments
from support.strays import differing_letters, strange_records

__all__ = ["Findings", "Logs", "check_invariants", "read_all", "read_logs", "until_sound"]

WEIGHED: Final = 1e-5
"""Between a score and the mean by its weights, which are stored as float32."""
Key = tuple[int, str, str]
"""Partition, tenant, turn id: where a turn is scored."""
Source = tuple[str, int, int]
"""Topic, partition, offset: one message."""
_verdicts = msgspec.json.Decoder(Verdict)


@dataclass
class Findings:
    """What was found: how much there was, and every point in which it is not what it must be."""

    turns: int = 0
    verdicts: int = 0
    votes: int = 0
    letters: int = 0
    distance: float = 0.0
    """The largest difference between the worker's moments and the oracle's."""
    reasons: dict[Source, str] = field(default_factory=dict)
    """Why each message that was set aside was."""
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        figures = (
            f"{self.turns} turns, {self.verdicts} verdicts, {self.votes} votes, {self.letters} dead letters,"
            f" moments off by {self.distance:.1e}"
        )
        return "\n  ".join([f"{figures}, {len(self.problems)} problems", *self.problems[:20]])


@dataclass
class Demands:
    """What the inputs alone demand."""

    turns: dict[Key, list[Turn]] = field(default_factory=dict)
    """Usable turns, the same one more than once if it was sent again."""
    letters: dict[Source, str] = field(default_factory=dict)
    """Messages that must be set aside, and why."""
    said: dict[Key, Said] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    """Every vote on a turn."""
    votes: dict[Key, Votes] = field(default_factory=dict)
    """Those that count."""
    learned: dict[Key, int | None] = field(default_factory=dict)
    strays: dict[tuple[str, str, str], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """(tenant, turn id, annotator) to the labels that name no turn."""


@dataclass
class State:
    """What the changelog comes to: the newest value of each key of each partition."""

    pending: dict[Key, state.Pending] = field(default_factory=dict)
    moments: dict[tuple[int, str], bytes] = field(default_factory=dict)
    early: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    """By partition and key, the labels that wait."""


def check_invariants(
    settings: Settings, logs: Logs, expected_turn_ids: Iterable[str] = (), unread: Iterable[bytes] = ()
) -> Findings:
    """Judge a worker that has nothing left to read: a pure function of the records.

    Every usable turn has a verdict, and all its verdicts are the bytes that its one decision says; every usable label
    is a vote, once; the moments are those of an offline replay, to 1e-9, apart where nobody asked for the label; every
    other message is a dead letter with its bytes; nothing else is. `expected_turn_ids`: what producers were told was
    written. `unread`: labels sent again in search of their turn that nobody has read yet: they wait in the topic.
    """
    found, demands = Findings(), _demands(settings, logs)
    known = {turn_id for _, _, turn_id in demands.turns}
    found.problems += [f"turn {turn_id} is not in the topic" for turn_id in expected_turn_ids if turn_id not in known]
    final = _state(logs.changelog, found)
    _check_verdicts(settings, logs.verdicts, demands, final, found)
    _check_votes(demands, final, found)
    _check_letters(settings, logs, demands, final, found, set(unread))
    found.distance, wrong = compare_moments(logs.moments, final.moments, final.pending, demands.learned)
    found.problems += wrong
    found.problems += prior_problems(logs.moments, final.pending.values())
    found.problems += strange_records(logs, {tenant for _, tenant, _ in demands.turns})
    return found


async def until_sound(
    settings: Settings,
    expected_turn_ids: Iterable[str] = (),
    deadline: float = 60.0,
    also: Callable[[Logs], bool] = lambda logs: True,
    alive: Callable[[], None] = lambda: None,
) -> tuple[Logs, Findings]:
    """Wait until the worker has done all that its inputs demand, and `also` holds; fails with what is still wrong, or
    when `alive` raises."""
    expected, end = list(expected_turn_ids), time.monotonic() + deadline
    async with following_all(settings) as (logs, follower):
        while True:
            alive()
            await follower.catch_up()
            began = time.monotonic()
            found = check_invariants(settings, logs, expected)
            if found.sound and also(logs):
                return logs, found
            now = time.monotonic()
            assert now < end, f"not sound in {deadline:g} s (also={also(logs)}): {found}"
            await asyncio.sleep(max(0.1, now - began))


def _demands(settings: Settings, logs: Logs) -> Demands:
    demands = Demands()
    for record in logs.turns:
        turn = decode_turn(record.value, settings.max_text_bytes)
        if isinstance(turn, Rejected):
            demands.letters[_source(record)] = turn.reason
            continue
        same = demands.turns.setdefault((record.partition, turn.tenant, turn.turn_id), [])
        if same and (same[0].role, same[0].text) != (turn.role, turn.text):
            demands.letters[_source(record)] = "turn_id_reused"
        else:
            same.append(turn)
    _demand_votes(logs, demands)
    ballots = Ballots(settings, logs.requests)
    for key, said in demands.said.items():
        demands.votes[key] = ballots.counted(key[1], said)
        demands.learned[key] = ballots.learned(key[1], demands.votes[key])
    return demands


def _demand_votes(logs: Logs, demands: Demands) -> None:
    homes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for partition, tenant, turn_id in demands.turns:
        homes[tenant, turn_id].append(partition)
    counts = sorted({n for r in logs.moments if r.key[:1] == projection.COUNTS for n in json.loads(r.value)})[::-1]
    crowded = {letter.value for letter in logs.dead_letters if _header(letter, dead_letters.REASON) == "too_many_votes"}
    originals = {record.value for record in logs.labels if _is_original(record)}
    for record in logs.labels:
        label = decode_label(record.value, record.key)
        if isinstance(label, Rejected):
            demands.letters[_source(record)] = label.reason
        elif (_is_original(record) or record.value not in originals) and record.value not in crowded:
            _demand_vote(demands, record, label, homes.get((label.tenant, label.turn_id), []), counts)


def _demand_vote(demands: Demands, record: Any, label: Label, homes: list[int], counts: list[int]) -> None:
    """A turn has several homes if it was sent again after the partitions had grown: the first on the label's way."""
    if not homes:
        demands.strays[label.tenant, label.turn_id, label.annotator].add(record.value)
        return
    named = label.source.partition if label.source else None
    way = (record.partition, *candidates(label.conversation_id.encode(), counts, named), *homes)
    home = next(partition for partition in way if partition in homes)
    at_ms = min(int(label.labelled_at.timestamp() * 1000), record.timestamp)
    demands.said[home, label.tenant, label.turn_id][label.annotator].add((at_ms, CLASSES.index(label.label)))


def _is_original(record: Any) -> bool:
    """Not one that a worker passed on in its search for the turn, unless a client says so itself: a copy of another
    record must change nothing."""
    return not {name for name, _ in record.headers} & {TRIED, FIRST, TRIES}


def _state(changelog: Iterable[Any], found: Findings) -> State:
    final = State()
    for record in changelog:
        kind = record.key[:1]
        if kind == state.PENDING:
            _take_pending(final, record, found)
        elif kind == state.MOMENTS:
            final.moments[record.partition, record.key[1:].decode()] = record.value
        elif kind == state.EARLY:
            _take_early(final, record)
        elif kind != state.CONVERSATION and record.key not in (state.CLAIM, state.RECKONING):
            found.problems.append(f"the changelog has a record of no known kind ({record.partition}, {record.offset})")
    return final


def _take_early(final: State, record: Any) -> None:
    if record.value is None:
        final.early.pop((record.partition, record.key), None)
    else:
        final.early[record.partition, record.key] = state.decode_early(record.value).value


def _take_pending(final: State, record: Any, found: Findings) -> None:
    key = (record.partition, *_names(record.key))
    if record.value is None:
        final.pending.pop(key, None)
        return
    pending = state.decode_pending(record.value)
    before = final.pending.get(key)
    if before is not None and _undecided(before) != _undecided(pending):
        found.problems.append(f"{key} was decided twice (changelog offset {record.offset})")
    final.pending[key] = pending


def _undecided(pending: state.Pending) -> state.Pending:
    """All but what labels and requests change."""
    return msgspec.structs.replace(pending, votes={}, beside={}, learned=state.NOTHING_LEARNED)


def _check_verdicts(settings: Settings, records: list[Any], demands: Demands, final: State, found: Findings) -> None:
    topic, published = TopicNames.of(settings).turns, dict[Key, list[bytes]]()
    for record in records:
        said = _verdicts.decode(record.value)
        published.setdefault((record.partition, said.tenant, said.turn_id), []).append(record.value)
    found.turns, found.verdicts = len(demands.turns), len(records)
    for key, turns in demands.turns.items():
        pending, values = final.pending.get(key), set(published.pop(key, ()))
        if pending is None or not values:
            found.problems.append(f"{key} has {'no pending record' if pending is None else 'no verdict'}")
        elif values != {encode(verdict(turn, pending, topic)) for turn in turns}:
            found.problems.append(f"{key} has {len(values)} verdicts that are not what its decision says")
    found.problems += [f"{key} has a verdict and was no usable turn" for key in published]
    found.problems += [
        f"{key} is pending and was no usable turn" for key in final.pending.keys() - demands.turns.keys()
    ]
    for key, p in final.pending.items():
        found.problems += [f"{key} {problem}" for problem in (*_vote_problems(p), *ask_problems(settings, *key[1:], p))]


def _vote_problems(p: state.Pending) -> Iterator[str]:
    """Only those who were awake and have a vote weigh, and the score is the weighted mean of what they said."""
    scores, weights = np.frombuffer(p.scores, "<f4").astype(float), np.frombuffer(p.weights, "<f4").astype(float)
    votes = np.frombuffer(p.status, np.uint8) == OK
    if weights[~votes].any():
        yield "gave weight to an expert that slept or has no vote"
    if not np.isfinite(scores[np.frombuffer(p.status, np.uint8) == SHADOW]).all():
        yield "has a shadow without a score"
    if votes.any() != (p.published is not None):
        yield "was forecast by nobody, or by those who slept"
    elif p.published is not None and abs(float((weights[votes] * scores[votes]).sum()) - p.published) > WEIGHED:
        yield "has a score that is not the weighted mean of the votes"


def _check_votes(demands: Demands, final: State, found: Findings) -> None:
    for key, pending in final.pending.items():
        stored = {annotator: (vote.at_ms, vote.label) for annotator, vote in pending.votes.items()}
        demanded = demands.votes.get(key, {})
        found.votes += len(stored)
        if stored != demanded:
            found.problems.append(f"{key} has votes {stored}, and must have {demanded}")
        if (learned := state.learned_of(pending)) != demands.learned.get(key):
            found.problems.append(f"{key} taught class {learned}, and must teach {demands.learned.get(key)}")


def _check_letters(
    settings: Settings, logs: Logs, demands: Demands, final: State, found: Findings, unread: set[bytes]
) -> None:
    inputs = {_source(record): record for record in (*logs.turns, *logs.labels)}
    given_up, crowded = set[bytes](), {key for key, p in final.pending.items() if len(p.votes) >= MOST_ANNOTATORS}
    for letter in logs.dead_letters:
        source, reason = _source_of(letter), _header(letter, dead_letters.REASON)
        record, found.reasons[source] = inputs.get(source), reason
        if record is None or not _is_untouched(letter, record):
            found.problems.append(f"the dead letter of {source} is not its source untouched")
            continue
        if reason == "turn_not_found":
            given_up.add(record.value)
        allowed = source in demands.letters or reason == "turn_not_found" or (reason == "too_many_votes" and crowded)
        if not allowed:
            found.problems.append(f"{source} is a dead letter ({reason}) and could be used")
    found.problems += differing_letters(logs.dead_letters)
    found.letters = len(found.reasons)
    found.problems += _missing_letters(demands, found)
    found.problems += _lost_strays(demands, final, given_up, unread)
    if unsent := len(set(final.early.values()) - {record.value for record in logs.labels}):
        found.problems.append(f"{unsent} labels wait that nobody sent")


def _is_untouched(letter: Any, source: Any) -> bool:
    """The source's key, bytes and headers, and ours after them."""
    theirs = (letter.key, letter.value, list(letter.headers[: len(source.headers)]))
    return theirs == (source.key, source.value, list(source.headers))


def _missing_letters(demands: Demands, found: Findings) -> Iterator[str]:
    for source, reason in demands.letters.items():
        if found.reasons.get(source) != reason:
            yield f"{source} must be a dead letter ({reason}), found {found.reasons.get(source)}"


def _lost_strays(demands: Demands, final: State, given_up: set[bytes], unread: set[bytes]) -> Iterator[str]:
    """A label without a turn waits, or is given up; one whose turn is there is never given up."""
    strays = set[bytes]().union(*demands.strays.values())
    if given_up - strays:
        yield f"{len(given_up - strays)} labels were given up though their turn is there"
    kept = {key for _, key in final.early}
    for stray, values in demands.strays.items():
        if state.early_key(*stray) not in kept and not values & (given_up | unread):
            yield f"the label {stray} of no turn is neither kept nor given up"


def _names(key: bytes) -> tuple[str, str]:
    """Tenant and turn id of a pending key: each behind its length, a big-endian uint16."""
    end = 3 + int.from_bytes(key[1:3], "big")
    return key[3:end].decode(), key[end + 2 :].decode()


def _source(record: Any) -> Source:
    return record.topic, record.partition, record.offset


def _source_of(letter: Any) -> Source:
    topic, partition, offset = (
        _header(letter, name) for name in (dead_letters.TOPIC, dead_letters.PARTITION, dead_letters.OFFSET)
    )
    return topic, int(partition), int(offset)


def _header(letter: Any, name: str) -> str:
    """The last header of that name: the source may have sent one, ours come after it."""
    return str([value for header, value in letter.headers if header == name][-1].decode())
