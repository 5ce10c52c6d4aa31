"""Asks every expert of a panel about a batch of passages, each isolated from the others."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from experts.answers import Answer, mean_risks, tells_risks
from experts.base import ERROR, TIMEOUT, Advice, Expert, Passage
from experts.errors import PanelError
from experts.lane import Lane
from experts.pipeline import Pipeline
from experts.served import OnnxExpert

# Called as (expert id, status, number of passages) for each expert and batch in which it failed or timed out.
OnFailure = Callable[[str, int, int], None]

# Three lengths, since a new input shape costs up to twice its first run: a short turn, one of a paragraph, a long one.
WARM_UP: Final = tuple(
    Passage(role, "I am well, thank you for asking. " * times)
    for role, times in (("user", 1), ("assistant", 8), ("user", 64))
)
# Copies of them in a call: one, a few, and on a GPU what fills its largest batches.
WARM_UP_COPIES: Final = (1, 4)
WARM_UP_COPIES_ON_CUDA: Final = (1, 4, 64)
CLOSE_PATIENCE: Final = 5.0  # seconds; a call that is longer under way is left to its daemon thread


class Crew:
    """What serves one expert, or all heads on one trunk, and how many panels share it."""

    def __init__(self, expert: Expert) -> None:
        self.line: Lane | Pipeline = Pipeline(expert.trunk) if isinstance(expert, OnnxExpert) else Lane(expert)
        self._panels = 0
        self._lock = threading.Lock()

    def join(self) -> None:
        """Another panel asks here, too."""
        with self._lock:
            self._panels += 1

    def leave(self) -> None:
        """A panel is closed; with the last one the threads end."""
        with self._lock:
            self._panels -= 1
            last = not self._panels
        if last:
            self.line.close(0.0 if self.line.stuck else CLOSE_PATIENCE)


@dataclass(frozen=True, slots=True)
class Group:
    """The experts of one panel that a crew serves, and their columns."""

    crew: Crew
    experts: tuple[Expert, ...]
    columns: tuple[int, ...]

    def submit(self, passages: Sequence[Passage], deadline: float | None) -> Callable[[], list[Answer]]:
        """Ask; what is returned waits for the answers, one a column."""
        line, count = self.crew.line, len(passages)
        if isinstance(line, Lane):
            lone = line.submit(passages)
            return lambda: [line.collect(lone, count, deadline)]
        heads = tuple(expert for expert in self.experts if isinstance(expert, OnnxExpert))
        call = line.submit(passages, heads, deadline)
        return lambda: line.collect(call, count, len(heads), deadline)


class Panel:
    """K experts, asked together. `advise` blocks, so call it from an executor thread; it may be called from several,
    whose passages then share the models' batches.
    """

    def __init__(
        self, experts: Sequence[Expert], timeout: float | None = None, on_failure: OnFailure | None = None
    ) -> None:
        """`timeout` is in seconds for one batch and one expert, None for no limit. PanelError if two experts share an
        id.
        """
        self._set_up(experts, timeout, on_failure, {})

    def _set_up(
        self,
        experts: Sequence[Expert],
        timeout: float | None,
        on_failure: OnFailure | None,
        running: Mapping[int, Crew],
    ) -> None:
        self.ids: tuple[str, ...] = tuple(expert.id for expert in experts)
        if not self.ids:
            raise PanelError(
                "a panel needs at least one expert: name one, or leave the setting empty to take all in the zoo"
            )
        if len(set(self.ids)) < len(self.ids):
            raise PanelError(f"an expert is named twice in {', '.join(self.ids)}: name each once")
        self.experts: tuple[Expert, ...] = tuple(experts)
        self._timeout = timeout
        self._on_failure = on_failure
        self._tells_risks = any(map(tells_risks, experts))
        self._groups = _grouped(self.experts, running)
        self._closed = False

    def reshaped(self, experts: Sequence[Expert]) -> Panel:
        """A panel of other experts with the same time-out. What serves an expert (the same object) or a trunk of this
        panel serves it in both: its threads end when both are closed. PanelError as for a new panel.
        """
        self._check_open()
        panel = Panel.__new__(Panel)
        panel._set_up(experts, self._timeout, self._on_failure, self._crews())
        return panel

    @property
    def stuck(self) -> tuple[str, ...]:
        """The ids of the experts that sleep behind a call that has not returned."""
        asleep = {expert.id for group in self._groups if group.crew.line.stuck for expert in group.experts}
        return tuple(name for name in self.ids if name in asleep)

    @property
    def healthy(self) -> bool:
        """False for good once a thread has died: its experts answer no more, and only a restart mends that."""
        return self.failure is None

    @property
    def failure(self) -> str | None:
        """Which thread died, and of what."""
        return next((group.crew.line.failure for group in self._groups if group.crew.line.failure), None)

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens that each trunk has read so far, by its name."""
        lines = [group.crew.line for group in self._groups]
        return {line.trunk.name: line.tokens for line in lines if isinstance(line, Pipeline)}

    def advise(self, passages: Sequence[Passage], silent: Collection[str] = ()) -> Advice:
        """Every expert's advice on N passages; the ids in `silent` have no part in the mean of the risks. PanelError
        once closed; whatever an expert does is a status, not an error.
        """
        return self._ask(passages, self._timeout, silent)

    def warm_up(self) -> None:
        """Run the shapes in use once, without a time-out, so that the first turns do not pay for it."""
        experts = (expert for expert in self.experts if isinstance(expert, OnnxExpert))
        on_cuda = any(expert.session.device == "cuda" for expert in experts)
        for copies in WARM_UP_COPIES_ON_CUDA if on_cuda else WARM_UP_COPIES:
            self._ask(WARM_UP * copies, None)

    def close(self) -> None:
        """End the threads of the experts that no other panel shares; calls under way get some seconds to return."""
        if not self._closed:
            self._closed = True
            for group in self._groups:
                group.crew.leave()

    def _ask(self, passages: Sequence[Passage], timeout: float | None, silent: Collection[str] = ()) -> Advice:
        self._check_open()
        count, columns = len(passages), len(self.ids)
        scores, status = np.empty((count, columns), np.float32), np.empty((count, columns), np.uint8)
        seconds = np.zeros(columns)
        answers = self._answers(passages, timeout) if count else {}
        for column, answer in answers.items():
            scores[:, column], status[:, column], seconds[column] = answer.scores, answer.status, answer.seconds
            self._report(self.ids[column], answer)
        self._check_open()  # closed meanwhile, the lanes answered without their experts
        heard = [answer for column, answer in answers.items() if self.ids[column] not in silent]
        risks = mean_risks(heard, count) if self._tells_risks else None
        return Advice(scores, status, seconds, risks)

    def _answers(self, passages: Sequence[Passage], timeout: float | None) -> dict[int, Answer]:
        """By column, in the order of the columns."""
        deadline = None if timeout is None else time.monotonic() + timeout
        asked = [(group.columns, group.submit(passages, deadline)) for group in self._groups]
        found = {
            column: answer for columns, collect in asked for column, answer in zip(columns, collect(), strict=True)
        }
        return {column: found[column] for column in range(len(self.ids))}

    def _crews(self) -> dict[int, Crew]:
        return {_place(group.experts[0]): group.crew for group in self._groups}

    def _check_open(self) -> None:
        if self._closed:
            raise PanelError("the panel is closed: make a new one to go on")

    def _report(self, expert_id: str, answer: Answer) -> None:
        if self._on_failure is None or not answer.status.any():
            return
        for status in (TIMEOUT, ERROR):
            if failed := int((answer.status == status).sum()):
                self._on_failure(expert_id, status, failed)


def _place(expert: Expert) -> int:
    """The same for all experts that are served together: those on one trunk."""
    return id(expert.trunk) if isinstance(expert, OnnxExpert) else id(expert)


def _grouped(experts: Sequence[Expert], running: Mapping[int, Crew]) -> list[Group]:
    """The experts by what serves them: what is running already, else new threads."""
    columns = defaultdict[int, list[int]](list)
    for column, expert in enumerate(experts):
        columns[_place(expert)].append(column)
    groups = []
    for place, mine in columns.items():
        members = tuple(experts[column] for column in mine)
        groups.append(Group(running.get(place) or Crew(members[0]), members, tuple(mine)))
    for group in groups:
        group.crew.join()
    return groups
