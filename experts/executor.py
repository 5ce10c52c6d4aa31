"""Asks every expert of a panel about a batch of passages, each isolated from the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from experts.base import ERROR, TIMEOUT, Advice, Expert, Passage
from experts.errors import PanelError
from experts.lane import Answer, Lane

# Called as (expert id, status, number of passages) for each expert and batch in which it failed or timed out.
OnFailure = Callable[[str, int, int], None]

# Two lengths, since a new input shape costs up to twice its first run: a short turn and one of a paragraph.
WARM_UP: Final = (Passage("user", "How are you today?"), Passage("assistant", "I am well, thank you for asking. " * 8))
CLOSE_PATIENCE: Final = 5.0  # seconds; a call that is longer under way is left to its daemon thread


class Panel:
    """K experts, asked together. `advise` blocks, so call it from an executor thread; it may be called from several."""

    def __init__(
        self, experts: Sequence[Expert], timeout: float | None = None, on_failure: OnFailure | None = None
    ) -> None:
        """`timeout` is in seconds for one batch and one expert, None for no limit. PanelError if two experts share an
        id.
        """
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
        self._lanes = [Lane(expert) for expert in experts]
        self._closed = False

    @property
    def stuck(self) -> tuple[str, ...]:
        """The ids of the experts that sleep behind a call that has not returned."""
        return tuple(lane.expert.id for lane in self._lanes if lane.stuck)

    def advise(self, passages: Sequence[Passage]) -> Advice:
        """Every expert's advice on N passages. PanelError once closed; whatever an expert does is a status, not an
        error.
        """
        return self._ask(passages, self._timeout)

    def warm_up(self) -> None:
        """Run the shapes in use once, without a time-out, so that the first turns do not pay for it."""
        for repeats in (1, 4):
            self._ask(WARM_UP * repeats, None)

    def close(self) -> None:
        """End the experts' threads; calls under way get some seconds to return."""
        self._closed = True
        for lane in self._lanes:
            lane.close(0.0 if lane.stuck else CLOSE_PATIENCE)

    def _ask(self, passages: Sequence[Passage], timeout: float | None) -> Advice:
        self._check_open()
        count, columns = len(passages), len(self._lanes)
        advice = Advice(np.empty((count, columns), np.float32), np.empty((count, columns), np.uint8), np.zeros(columns))
        if count == 0:
            return advice
        deadline = None if timeout is None else time.monotonic() + timeout
        calls = [lane.submit(passages) for lane in self._lanes]
        for column, (lane, call) in enumerate(zip(self._lanes, calls, strict=True)):
            answer = lane.collect(call, count, deadline)
            advice.scores[:, column], advice.status[:, column] = answer.scores, answer.status
            advice.seconds[column] = answer.seconds
            self._report(lane.expert.id, answer)
        self._check_open()  # closed meanwhile, the lanes answered without their experts
        return advice

    def _check_open(self) -> None:
        if self._closed:
            raise PanelError("the panel is closed: make a new one to go on")

    def _report(self, expert_id: str, answer: Answer) -> None:
        if self._on_failure is None or not answer.status.any():
            return
        for status in (TIMEOUT, ERROR):
            if failed := int((answer.status == status).sum()):
                self._on_failure(expert_id, status, failed)
