"""An expert that was not there: asked now about the turns of then, as a worker would have asked it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from experts.base import Passage
from experts.executor import OnFailure, Panel
from experts.registry import load_expert
from stream.codecs import Rejected, decode_turn
from stream.conversations import Memory
from stream.errors import DataError
from stream.evaluation.scoring import TOGETHER
from stream.following import existing
from stream.panels import open_expert
from stream.records import Turn
from stream.replay.results import Candidate
from stream.replay.tape import Judged, Said, Tape
from stream.requests import Requests
from stream.settings import Settings
from stream.topics import TopicNames

CLOCKS_MS = 10 * 60_000
"""So far before the first verdict turns are read, and further by AEGIS_CONVERSATION_IDLE, for what was said before."""
Name = tuple[str, str]
"""Tenant and turn id."""


def open_candidate(settings: Settings, named: str, on_failure: OnFailure) -> Panel:
    """The expert in a folder, or of this name among those of the settings; without a time-out. Errors as of
    `experts.registry.load_expert`."""
    folder = Path(named)
    expert = load_expert(folder, settings.device) if folder.is_dir() else open_expert(settings, named)
    return Panel([expert], None, on_failure)


@dataclass(frozen=True, slots=True)
class _Nothing:
    """A partition that remembers nothing from before."""

    number: int

    def get(self, key: bytes, /) -> bytes | None:
        return None


class Asking:
    """Takes turns in the order of their topic, and asks a panel of one expert about those that are `wanted`, some
    together. Others count for what was said before them, as in a worker (`stream.conversations`)."""

    def __init__(
        self,
        settings: Settings,
        panel: Panel,
        wanted: Collection[Name],
        requests: Requests,
        advance: Callable[[int], None],
    ) -> None:
        self._memory = Memory(settings, 0, requests)
        self._panel, self._wanted, self._advance = panel, wanted, advance
        self._names, self._passages = list[Name](), list[Passage]()
        self._met = set[Name]()
        self.scores: dict[Name, float] = {}
        """Of those that were asked about; nan where it slept."""

    def take(self, turn: Turn, partition: int, offset: int, timestamp_ms: int) -> None:
        """One turn; of two under one id the first counts."""
        history, _ = self._memory.recall(_Nothing(partition), turn, offset, timestamp_ms)
        name = turn.tenant, turn.turn_id
        if name not in self._wanted or name in self._met:
            return
        self._met.add(name)
        self._names.append(name)
        self._passages.append(Passage(turn.role, turn.text, history))
        if len(self._names) >= TOGETHER:
            self.ask()

    def ask(self) -> None:
        """About those that wait. Blocks while the expert computes."""
        if not self._names:
            return
        advice = self._panel.advise(self._passages)
        said = np.where(advice.awake[:, 0], advice.scores[:, 0], np.nan).tolist()
        self.scores.update(zip(self._names, said, strict=True))
        self._advance(len(self._names))
        self._names, self._passages = [], []


async def ask_of_topic(settings: Settings, asking: Asking, first_ms: int) -> None:
    """The turns that the broker holds, from before the one that was scored first, at `first_ms`."""
    since = first_ms - CLOCKS_MS - int(settings.conversation_idle * 1000)
    async for records in existing(settings, TopicNames.of(settings).turns, max(0, since)):
        for record in records:
            turn = decode_turn(record.value, settings.max_text_bytes)
            if not isinstance(turn, Rejected):
                asking.take(turn, record.partition, record.offset, record.timestamp)
    asking.ask()


def with_candidate(tape: Tape, expert: str, scores: dict[Name, float]) -> tuple[Tape, Candidate]:
    """The tape as if the expert had advised on each turn, and how often it did. DataError where it had a vote then:
    nobody could tell one from the other."""
    name, _, version = expert.rpartition("@")
    voted = sum(any(said.id == expert and said.status == "ok" for said in each.experts) for each in tape.verdicts)
    if voted:
        raise DataError(
            f"{expert} voted on {voted:,} of these turns already: give the candidate another name or version"
        )
    told = [_told(each, name, version, scores) for each in tape.verdicts]
    answered = sum(not np.isnan(score) for score in scores.values())
    untold = len({(each.tenant, each.turn_id) for each in tape.verdicts}) - len(scores)
    return Tape(told, tape.labels), Candidate(expert, answered, len(scores) - answered, untold)


def _told(judged: Judged, name: str, version: str, scores: dict[Name, float]) -> Judged:
    score = scores.get((judged.tenant, judged.turn_id), float("nan"))
    said = Said(name, version, None, "abstained") if np.isnan(score) else Said(name, version, score, "ok")
    kept: Sequence[Said] = [one for one in judged.experts if one.id != said.id]  # it may have been a shadow
    return msgspec.structs.replace(judged, experts=(*kept, said))
