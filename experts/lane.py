"""One expert's lane: its calls, one at a time, on its own thread, with a time-out for the callers.

A call that outlives its caller's patience cannot be stopped. It keeps the lane until it returns; meanwhile the expert
sleeps: callers get TIMEOUT at once instead of queueing behind it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from experts.answers import Answer, asleep, checked, opinion
from experts.base import ERROR, TIMEOUT, Expert, Passage
from experts.isolation import described, in_parts

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Call:
    """A question to an expert, and its answer when `done` is set."""

    passages: Sequence[Passage]
    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    started: bool = False
    abandoned: bool = False


def ask(expert: Expert, passages: Sequence[Passage], on_error: Callable[[BaseException], None]) -> Answer:
    """Ask once, and by halves where it fails: one poison passage must not silence the expert for its whole batch.

    `on_error` is told of the first failure only. Nothing that the expert raises leaves this function.
    """
    parts = in_parts(
        lambda start, stop: checked(opinion(expert, passages[start:stop]), stop - start), len(passages), on_error
    )
    if len(parts) == 1 and parts[0][:2] == (0, len(passages)):
        return parts[0][2]
    answer = asleep(len(passages), ERROR)
    for start, stop, part in parts:
        answer.fill(slice(start, stop), part)
    return answer


class Lane:
    """An expert and the thread that asks it. `submit` and `collect` may be called from any thread."""

    def __init__(self, expert: Expert) -> None:
        self.expert = expert
        self.failure: str | None = None
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
        except BaseException as error:  # noqa: BLE001 - what an expert raises is caught in `ask`: this is a bug of ours
            self.failure = f"thread {self._thread.name} died of {described(error)}"
            log.critical("%s: expert %s answers no more; restart the worker", self.failure, self.expert.id)
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
            self._stuck = False
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
        if not self._failing:
            log.warning("expert %s failed with %s", self.expert.id, described(error))
