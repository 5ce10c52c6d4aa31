"""One expert's lane: its calls, one at a time, on its own thread, with a time-out for the callers.

A call that outlives its caller's patience cannot be stopped. It keeps the lane until it returns; meanwhile the expert
sleeps: callers get TIMEOUT at once instead of queueing behind it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from experts.base import ABSTAINED, ERROR, OK, TIMEOUT, Expert, Passage, Scores, Statuses

log = logging.getLogger(__name__)

# One poison passage among N is found with 2 log2(N) calls; twice that leaves room for two of them, and bounds what an
# expert that fails always can cost: 36 calls for a batch of 256.
CALLS_PER_HALVING: Final = 4


@dataclass(slots=True)
class Answer:
    """One expert's column: scores float32[N], status uint8[N], and the seconds that it took."""

    scores: Scores
    status: Statuses
    seconds: float = 0.0


@dataclass(slots=True)
class Call:
    """A question to an expert, and its answer when `done` is set."""

    passages: Sequence[Passage]
    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    started: bool = False
    abandoned: bool = False


def asleep(count: int, status: int, seconds: float = 0.0) -> Answer:
    """The answer of an expert that says nothing of any of the passages."""
    return Answer(np.full(count, np.nan, np.float32), np.full(count, status, np.uint8), seconds)


def checked(raw: Scores, count: int) -> Answer:
    """The expert's own array with everything that is no probability turned into an abstention. ValueError on a wrong
    shape.
    """
    scores = np.asarray(raw, np.float32)
    if scores.shape != (count,):
        raise ValueError(f"the expert answered with shape {scores.shape} to {count} passages")
    valid = (scores >= 0) & (scores <= 1)
    if valid.all():
        return Answer(scores, np.zeros(count, np.uint8))
    status = np.where(valid, OK, ABSTAINED).astype(np.uint8)
    return Answer(np.where(valid, scores, np.float32(np.nan)), status)


def ask(expert: Expert, passages: Sequence[Passage], on_error: Callable[[BaseException], None]) -> Answer:
    """Ask once, and by halves where it fails: one poison passage must not silence the expert for its whole batch.

    `on_error` is told of the first failure only. Nothing that the expert raises leaves this function.
    """
    count = len(passages)
    try:
        return checked(expert.advise(passages), count)
    except BaseException as error:  # noqa: BLE001 - even SystemExit must not kill the lane
        on_error(error)
    answer = asleep(count, ERROR)
    waiting = deque(halves(0, count))
    for _ in range(CALLS_PER_HALVING * count.bit_length()):
        if not waiting:
            break
        start, stop = waiting.popleft()
        try:
            part = checked(expert.advise(passages[start:stop]), stop - start)
        except BaseException:  # noqa: BLE001 - told of already: this is the search for the passage behind it
            waiting.extend(halves(start, stop))
        else:
            answer.scores[start:stop], answer.status[start:stop] = part.scores, part.status
    return answer


def halves(start: int, stop: int) -> list[tuple[int, int]]:
    """The two halves of a range, or nothing when one passage is left: it is the poison."""
    middle = (start + stop) // 2
    return [(start, middle), (middle, stop)] if stop - start > 1 else []


class Lane:
    """An expert and the thread that asks it. `submit` and `collect` may be called from any thread."""

    def __init__(self, expert: Expert) -> None:
        self.expert = expert
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._current: Call | None = None
        self._stuck = False
        self._failing = False
        self._ended = False
        # A daemon, since a call that never returns must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"expert-{expert.id}", daemon=True)
        self._thread.start()

    @property
    def stuck(self) -> bool:
        """Whether a call is still running that its caller has given up."""
        return self._stuck

    def submit(self, passages: Sequence[Passage]) -> Call | None:
        """Put a call in the lane; None if the expert sleeps behind a stuck one."""
        with self._lock:
            if self._stuck:
                return None
            call = Call(passages)
            if self._ended:
                self._fail(call)
            else:
                self._calls.put(call)
            return call

    def collect(self, call: Call | None, count: int, deadline: float | None) -> Answer:
        """Wait for the answer until `deadline` (on time.monotonic; None: for ever), then go on without it."""
        if call is None:
            return asleep(count, TIMEOUT)
        began = time.monotonic()
        call.done.wait(None if deadline is None else max(0.0, deadline - began))
        with self._lock:
            if call.answer is not None:
                return call.answer
            call.abandoned = True
            self._stuck = self._stuck or call.started
        return asleep(count, TIMEOUT, time.monotonic() - began)

    def close(self, patience: float) -> None:
        """Let the calls in the lane end, waiting at most `patience` seconds."""
        with self._lock:
            self._ended = True
            self._calls.put(None)
        self._thread.join(patience)

    def _run(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                self._serve(call)
        finally:
            self._end()

    def _serve(self, call: Call) -> None:
        with self._lock:
            if call.abandoned:
                return
            call.started = True
            self._current = call
        began = time.monotonic()
        answer = ask(self.expert, call.passages, self._report)
        answer.seconds = time.monotonic() - began
        self._failing = bool((answer.status == ERROR).any())
        with self._lock:
            call.answer = answer
            self._stuck = self._stuck and not call.abandoned
            self._current = None
        call.done.set()

    def _end(self) -> None:
        """However the thread ends, no caller may wait for an answer that never comes."""
        with self._lock:
            self._ended = True
            waiting = [self._current] if self._current else []
            while not self._calls.empty():
                waiting += filter(None, [self._calls.get_nowait()])
            for call in waiting:
                self._fail(call)

    @staticmethod
    def _fail(call: Call) -> None:
        call.answer = asleep(len(call.passages), ERROR)
        call.done.set()

    def _report(self, error: BaseException) -> None:
        """Log the first failure of a row of them, by type and place: the message might quote a turn's text."""
        if self._failing:
            return
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "unknown"
        log.warning("expert %s failed with %s at %s", self.expert.id, type(error).__name__, place)
