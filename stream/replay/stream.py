"""From what was published, or from labelled rows, to the turns and changes that `stream.simulation` runs: labels come
when they came, or later, or only some of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ensemble.policy import CLASSES
from ensemble.shadows import shadow_of
from ensemble.votes import Limits, Vote, cast
from stream.evaluation.online import TURN_SECONDS
from stream.evaluation.scoring import Scored
from stream.labels import EVERYONE, MOST_ANNOTATORS, Counting
from stream.replay.tape import SHADOW_STATUS, Judged, Tape, Told, votes
from stream.simulation import UNLABELLED, Changes, Floats, Turns

REPEATED, UNKNOWN, UNASKED, UNCHOSEN, REVOKED, CROWDED, UNCHANGED = (
    "verdicts of a turn that had one",
    "labels of turns without a verdict",
    "labels that nobody asked for",
    "labels left out by the label rate",
    "labels that are revoked",
    f"labels over {MOST_ANNOTATORS} annotators a turn",
    "labels that changed no class",
)
"""What is left out, and why."""
CountingOf = Callable[[str], Counting]
ORDER: Final = (REPEATED, UNKNOWN, UNASKED, UNCHOSEN, REVOKED, CROWDED, UNCHANGED)


@dataclass(frozen=True, slots=True)
class Coming:
    """How labels come: `delay` seconds and then `delay_turns` turns later than they did, of a share of `rate` of the
    turns, drawn by `seed`. `as_published`: learn about the scores that were published, from labels in the order in
    which they were read, and forecast each turn from as many of them as its verdict says.
    """

    delay: float = 0.0
    delay_turns: int = 0
    rate: float = 1.0
    seed: int = 0
    as_published: bool = False

    def chosen(self, turns: int) -> npt.NDArray[np.bool_]:
        """[N] the turns whose labels come."""
        return np.asarray(np.random.default_rng(self.seed).random(turns) < self.rate)

    def due(self, at: Floats, row: npt.NDArray[np.intp], came: Floats) -> npt.NDArray[np.intp]:
        """[M] the first turn that is scored after the label came, `came` unix seconds, of one scored before it."""
        first = np.maximum(np.searchsorted(at, came + self.delay, side="right"), row + 1)
        return np.asarray(np.minimum(first + self.delay_turns, len(at)), np.intp)


@dataclass(frozen=True, eq=False, slots=True)
class Stream:
    """What is run."""

    turns: Turns
    changes: Changes
    delays: Floats
    """[L] seconds from a turn to the first label of it that is learned."""
    classes: npt.NDArray[np.int8]
    """[N] the class that people gave in the end, UNLABELLED where none is learned."""
    labels: int
    """That were read."""
    left_out: dict[str, int]
    """By reason, those of ORDER."""
    decided: npt.NDArray[np.int8]
    """[N] the class that was published, UNLABELLED where none was."""
    ids: tuple[tuple[str, str], ...] = ()
    """[N] tenant and turn id; none of labelled rows, which have no names."""

    def without(self, expert: str) -> Stream:
        """The same had this expert never been asked."""
        turns, kept = self.turns, [name != expert for name in self.turns.experts]
        names = tuple(name for name in turns.experts if name != expert)
        scores, awake, panel = turns.scores[:, kept], turns.awake[:, kept], turns.panel[:, kept]
        return replace(self, turns=replace(turns, experts=names, scores=scores, awake=awake, panel=panel))


def from_tape(tape: Tape, coming: Coming, counting_of: CountingOf = lambda context: EVERYONE) -> Stream:
    """The turns by the time of their verdicts; of two verdicts of a turn the first stands. Votes are counted as
    `counting_of` says of their context; those that are revoked as if they had never been given."""
    left = Counter[str]()
    judged = _once(tape.verdicts, left)
    turns = _turns(judged, coming.as_published)
    events, classes = _events(judged, tape.labels, coming, counting_of, left)
    row = np.array([event.row for event in events], np.intp)
    came = np.array([event.came_ms / 1000 for event in events], np.float64)
    due = _as_published(judged, events, turns.context) if coming.as_published else coming.due(turns.at, row, came)
    order = np.argsort(due, kind="stable")
    asked = np.array([judged[event.row].ask_probability or 1.0 for event in events], np.float64)
    changes = Changes(
        row=row[order],
        before=np.array([event.before for event in events], np.int8)[order],
        after=np.array([event.after for event in events], np.uint8)[order],
        due=due[order],
        came=came[order] + coming.delay,
        q=(1.0 / (asked * coming.rate))[order],
    )
    first = np.array([event.before == UNLABELLED for event in events], np.bool_)
    delays = np.maximum(came[first] + coming.delay - turns.at[row[first]], 0.0)
    decided = [UNLABELLED if each.label is None else CLASSES.index(each.label) for each in judged]
    return Stream(
        turns, changes, delays, classes, len(tape.labels), {why: left[why] for why in ORDER if left[why]},
        np.array(decided, np.int8), tuple((each.tenant, each.turn_id) for each in judged),
    )  # fmt: skip


def from_rows(scored: Scored, coming: Coming) -> Stream:
    """Labelled rows, one turn every TURN_SECONDS and labelled at once; a context a role."""
    count = len(scored.rows)
    labels = np.array([row.label for row in scored.rows], np.int8)
    at = np.arange(count, dtype=np.float64) * TURN_SECONDS
    chosen = coming.chosen(count)
    rows = np.flatnonzero(chosen)
    turns = Turns(
        scored.experts,
        scored.scores.astype(np.float64),
        scored.awake,
        np.ones_like(scored.awake),
        tuple(row.passage.role for row in scored.rows),
        at,
    )
    before, q = np.full(len(rows), UNLABELLED, np.int8), np.full(len(rows), 1.0 / coming.rate)
    due, came = coming.due(at, rows, at[rows]), at[rows] + coming.delay
    changes = Changes(rows, before, labels[rows].astype(np.uint8), due, came, q)
    left = {UNCHOSEN: count - len(rows)} if len(rows) < count else {}
    waited = np.full(len(rows), coming.delay + coming.delay_turns * TURN_SECONDS)
    classes, decided = np.where(chosen, labels, UNLABELLED).astype(np.int8), np.full(count, UNLABELLED, np.int8)
    return Stream(turns, changes, waited, classes, count, left, decided)


@dataclass(frozen=True, slots=True)
class _Event:
    """A change of a turn's class, by a label that came `came_ms` unix milliseconds."""

    row: int
    before: int
    after: int
    came_ms: int


def _once(verdicts: Sequence[Judged], left: Counter[str]) -> list[Judged]:
    seen: dict[tuple[str, str], Judged] = {}
    for judged in verdicts:
        seen.setdefault((judged.tenant, judged.turn_id), judged)
    left[REPEATED] = len(verdicts) - len(seen)
    return sorted(seen.values(), key=lambda judged: judged.scored_at)


def _turns(judged: Sequence[Judged], as_published: bool) -> Turns:
    names = sorted({_row_of(one.id, one.status) for each in judged for one in each.experts})
    column = {name: place for place, name in enumerate(names)}
    shape = (len(judged), len(names))
    scores, awake, panel = np.full(shape, np.nan), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    for row, each in enumerate(judged):
        for one in each.experts:
            place = column[_row_of(one.id, one.status)]
            panel[row, place] = True
            if one.score is not None and (votes(one) or (one.status == SHADOW_STATUS and each.score is not None)):
                scores[row, place], awake[row, place] = one.score, True
    published = used = None
    if as_published:
        published = np.array([np.nan if each.score is None else each.score for each in judged], np.float64)
        if all(each.ask_probability is None for each in judged):  # else it counts importance weights, rounds do not
            used = np.array([each.rounds for each in judged], np.float64)
    return Turns(
        tuple(names),
        scores.astype(np.float32).astype(np.float64),  # as experts said them: a verdict has nine decimals
        awake,
        panel,
        tuple(each.context for each in judged),
        np.array([each.scored_at.timestamp() for each in judged], np.float64),
        published,
        used,
    )


def _row_of(expert: str, status: str) -> str:
    return shadow_of(expert) if status == SHADOW_STATUS else expert


def _events(
    judged: Sequence[Judged], labels: Sequence[Told], coming: Coming, counting_of: CountingOf, left: Counter[str]
) -> tuple[list[_Event], npt.NDArray[np.int8]]:
    """The changes in the order of their labels, and [N] the classes in the end."""
    row_of = {(each.tenant, each.turn_id): row for row, each in enumerate(judged)}
    chosen = coming.chosen(len(judged)).tolist()
    given: dict[int, dict[str, Vote]] = defaultdict(dict)
    events = list[_Event]()
    for told in labels if coming.as_published else sorted(labels, key=lambda told: told.at_ms):
        row = row_of.get((told.label.tenant, told.label.turn_id))
        if row is None or judged[row].ask_label is False or not chosen[row]:
            left[UNKNOWN if row is None else UNASKED if judged[row].ask_label is False else UNCHOSEN] += 1
            continue
        known, counting = given[row], counting_of(judged[row].context)
        if counting.is_revoked(told.label.annotator, told.at_ms):
            left[REVOKED] += 1
            continue
        if told.label.annotator not in known and len(known) >= MOST_ANNOTATORS:
            left[CROWDED] += 1
            continue
        before = counting.limits.decide(known)
        after = _learned_with(given, row, told, counting.limits)
        if after is None or before == after:
            left[UNCHANGED] += 1
        else:
            events.append(_Event(row, UNLABELLED if before is None else before, after, told.at_ms))
    classes = np.full(len(judged), UNLABELLED, np.int8)
    for event in events:
        classes[event.row] = event.after
    return events, classes


def _learned_with(given: dict[int, dict[str, Vote]], row: int, told: Told, limits: Limits) -> int | None:
    """The class of a turn with this vote, which is kept; None when the vote changes nothing, or waits for others."""
    voted = cast(given[row], told.label.annotator, CLASSES.index(told.label.label), told.at_ms)
    if voted is None:
        return None
    given[row] = voted
    return limits.decide(voted)


def _as_published(judged: Sequence[Judged], events: Sequence[_Event], context: Sequence[str]) -> npt.NDArray[np.intp]:
    """[M] the first turn of the context whose verdict had read so many labelled turns as there were with this one."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(context):
        rows[name].append(row)
    read = {name: np.maximum.accumulate([judged[row].rounds for row in mine]) for name, mine in rows.items()}
    learned, due = Counter[str](), np.zeros(len(events), np.intp)
    last: dict[str, int] = defaultdict(int)
    for number, event in enumerate(events):
        name = context[event.row]
        learned[name] += event.before == UNLABELLED and judged[event.row].score is not None
        place = int(np.searchsorted(read[name], learned[name]))
        first = rows[name][place] if place < len(rows[name]) else len(judged)
        due[number] = last[name] = max(first, event.row + 1, last[name])
    return due
