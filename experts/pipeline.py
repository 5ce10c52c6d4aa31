"""One trunk's pipeline, shared by all callers: pre (tokenise), core (the model), post (heads, calibration, answers).

Each stage has a thread of its own and hands on through a bounded queue, so that the next passages are tokenised while
the model runs, and callers wait once all queues are full. Passages of several callers share batches.

A model that does not return cannot be stopped. It keeps its stage until it does; meanwhile all experts on this trunk
sleep: callers get TIMEOUT at once instead of queueing behind it. A thread that dies (a bug of ours: what models raise
is caught) fails every caller at once with ERROR, and every later one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from experts.answers import Answer, asleep, checked
from experts.base import ABSTAINED, ERROR, TIMEOUT, Passage
from experts.calls import Call, Output, Piece, Work
from experts.isolation import Complaints, described, in_parts
from experts.served import OnnxExpert
from experts.trunk import Trunk
from experts.waiting import Channel, Pool

log = logging.getLogger(__name__)

# Calls that wait for the first stage; a caller beyond that waits in `submit`.
CALLS_WAITING: Final = 64
# Passages tokenised at a time: 10 ms of work, after which the model can begin with them.
CHUNK: Final = 256
# Budgets of tokenised passages that wait for the model: enough to find neighbours of one length, some MB at most.
BUDGETS_WAITING: Final = 16
# Batches of model outputs that wait to be answered.
OUTPUTS_WAITING: Final = 2

Rows = TypeVar("Rows", bound=Sized)


class Pipeline:
    """A trunk and its three threads. `submit` and `collect` may be called from any thread."""

    def __init__(self, trunk: Trunk[Any]) -> None:
        self.trunk = trunk
        self.failure: str | None = None
        self.tokens = 0  # read by the model so far, without padding
        self._lock = threading.Lock()  # held to write to a call's answers, and for the two below
        self._open: set[Call] = set()
        self._working: dict[str, Work] = {}
        self._numbers = 0
        self._complaints = Complaints(log)
        self._calls: Channel[Call] = Channel(CALLS_WAITING)
        self._pool: Pool[Piece] = Pool(BUDGETS_WAITING * trunk.budget)
        self._outputs: Channel[Output] = Channel(OUTPUTS_WAITING)
        # Daemons, since a model that never returns must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._run, args=(stage,), name=f"{name}-{trunk.name}", daemon=True)
            for name, stage in (("pre", self._pre), ("core", self._core), ("post", self._post))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def stuck(self) -> bool:
        """Whether a stage is still at work that a caller has given up."""
        with self._lock:
            return self._is_stuck()

    def submit(
        self, passages: Sequence[Passage], experts: tuple[OnnxExpert[Any], ...], deadline: float | None
    ) -> Call | None:
        """Put a call in, waiting for room until `deadline` (on time.monotonic; None: for ever); None if the experts
        sleep behind a stuck model.
        """
        call = Call.of(passages, experts)
        with self._lock:
            if self._is_stuck():
                return None
            self._open.add(call)
        if not self._calls.put(call, deadline):
            with self._lock:
                call.give_up(failed=self._calls.closed)
        return call

    def collect(self, call: Call | None, count: int, experts: int, deadline: float | None) -> list[Answer]:
        """Wait for the answers until `deadline`, then go on with those that are there; one an expert."""
        if call is None:
            return [asleep(count, TIMEOUT) for _ in range(experts)]
        call.done.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._open.discard(call)
            if not call.done.is_set():
                call.give_up()
                for work in self._working.values():
                    work.given_up = work.given_up or call in work.calls
        return call.answers

    def close(self, patience: float) -> None:
        """Let the calls that are in end, waiting at most `patience` seconds."""
        self._calls.close()
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    # -- the stages

    def _pre(self) -> None:
        while (call := self._calls.get()) is not None:
            for start in range(0, len(call.passages), CHUNK):
                if call.abandoned:
                    break
                with self._at_work("pre", [call]):
                    pieces = self._tokenised(call, range(start, min(start + CHUNK, len(call.passages))))
                if pieces:
                    self._pool.put(pieces)
        self._pool.close()

    def _core(self) -> None:
        while batch := self._pool.take(self.trunk.budget, self.trunk.linger):
            with self._at_work("core", {piece.call for piece in batch}):
                outputs = self._computed(batch)
            self.tokens += sum(piece.length for piece in batch)
            for output in outputs:
                self._outputs.put(output)
        self._outputs.close()

    def _post(self) -> None:
        while (output := self._outputs.get()) is not None:
            places = defaultdict[Call, list[int]](list)
            for place, piece in enumerate(output.pieces):
                places[piece.call].append(place)
            for call, mine in places.items():
                with self._at_work("post", [call]):
                    self._conclude(call, [output.pieces[place].row for place in mine], output.features[mine])

    def _tokenised(self, call: Call, chunk: range) -> list[Piece]:
        """The pieces of these passages, the shortest first, as the pool will take them; what gives none is settled."""
        read = [row for row in chunk if call.awake[row].any()]
        self._sleep_on(call, sorted(set(chunk) - set(read)), ABSTAINED)
        if not read:
            return []
        passages = [call.passages[row] for row in read]
        report = self._reporter("pre", f"the tokeniser of {self.trunk.name}")
        parts = in_parts(lambda a, b: _whole(self.trunk.encode(passages[a:b]), b - a), len(read), report)
        encoded = {read[start + place]: row for start, _, rows in parts for place, row in enumerate(rows)}
        self._sleep_on(call, failed := [row for row in read if row not in encoded], ERROR)
        if not failed:
            self._complaints.over("pre")
        self._sleep_on(call, [row for row in encoded if not len(encoded[row])], ABSTAINED)
        by_length = sorted((len(numbers), row) for row, numbers in encoded.items() if len(numbers))
        first, self._numbers = self._numbers, self._numbers + len(by_length)
        return [Piece(call, row, encoded[row], length, first + place) for place, (length, row) in enumerate(by_length)]

    def _computed(self, batch: list[Piece]) -> list[Output]:
        def run(start: int, stop: int) -> Output:
            pieces = batch[start:stop]
            return Output(pieces, _whole(self.trunk.run([piece.encoded for piece in pieces]), len(pieces)))

        parts = in_parts(run, len(batch), self._reporter("core", f"the model of {self.trunk.name}"))
        answered = {place for start, stop, _ in parts for place in range(start, stop)}
        for place, piece in enumerate(batch):
            if place not in answered:
                self._sleep_on(piece.call, [piece.row], ERROR)
        if len(answered) == len(batch):
            self._complaints.over("core")
        return [output for _, _, output in parts]

    def _conclude(self, call: Call, rows: list[int], features: npt.NDArray[np.float32]) -> None:
        places, found = np.array(rows), list[tuple[Answer, npt.NDArray[np.intp], Answer]]()
        for expert, answer, awake in zip(call.experts, call.answers, call.awake.T, strict=True):
            mine = awake[places]
            if mine.any():
                found.append((answer, places[mine], self._asked(expert, features[mine])))
        with self._lock:
            if not call.abandoned:
                for answer, where, part in found:
                    answer.fill(where, part)
                call.settle(rows)

    def _asked(self, expert: OnnxExpert[Any], features: npt.NDArray[np.float32]) -> Answer:
        """One expert's answer to these rows of features."""
        report = self._reporter(expert.id, f"expert {expert.id}")
        parts = in_parts(lambda a, b: checked(expert.conclude(features[a:b]), b - a), len(features), report)
        answer = asleep(len(features), ERROR)
        for start, stop, part in parts:
            answer.fill(slice(start, stop), part)
        self._complain(expert, answer)
        return answer

    def _complain(self, expert: OnnxExpert[Any], answer: Answer) -> None:
        """Whoever came here is awake and was read, so an abstention is a number that is none, but from a guard."""
        odd, count = int((answer.status == ABSTAINED).sum()), len(answer.status)
        about = f"{expert.id} odd"
        if odd and not expert.may_abstain:
            message = "expert %s gave NaN or infinity for %d of %d turns and sleeps on them: `aegis experts verify` it"
            self._complaints.say(about, message, expert.id, odd, count)
        else:
            self._complaints.over(about)
        if not (answer.status == ERROR).any():
            self._complaints.over(expert.id)

    def _reporter(self, about: str, who: str) -> Callable[[BaseException], None]:
        return lambda error: self._complaints.say(about, "%s failed with %s", who, described(error))

    # -- what several threads touch

    def _sleep_on(self, call: Call, rows: Sequence[int], status: int) -> None:
        with self._lock:
            if rows and not call.abandoned:
                call.sleep_on(rows, status)

    @contextmanager
    def _at_work(self, stage: str, calls: Iterable[Call]) -> Iterator[None]:
        with self._lock:
            self._working[stage] = Work(frozenset(calls))
        try:
            yield
        finally:
            with self._lock:
                self._working.pop(stage, None)

    def _is_stuck(self) -> bool:
        return any(work.given_up for work in self._working.values())

    # -- the end

    def _run(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except BaseException as error:  # noqa: BLE001 - whatever it is, no caller may wait for this thread in vain
            self._die(f"thread {threading.current_thread().name} died of {described(error)}")

    def _die(self, reason: str) -> None:
        self.failure = reason
        log.critical("%s: its experts answer no more; restart the worker", reason)
        with self._lock:
            for call in self._open:
                if not call.done.is_set():
                    call.give_up(failed=True)
        for queue in (self._calls, self._pool, self._outputs):
            queue.close()


def _whole(rows: Rows, count: int) -> Rows:
    """The rows, if there is one for each passage; a ValueError here is the model's, further on it would be ours."""
    if len(rows) != count:
        raise ValueError(f"there are {len(rows)} rows for {count} passages")
    return rows
