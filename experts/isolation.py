"""Work on many things at once that one of them may spoil: by halves until the spoiler is alone."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

# One poison passage among N is found with 2 log2(N) calls; twice that leaves room for two of them, and bounds what an
# expert that fails always can cost: 36 calls for a batch of 256.
CALLS_PER_HALVING: Final = 4


def in_parts(
    work: Callable[[int, int], T], count: int, on_error: Callable[[BaseException], None]
) -> list[tuple[int, int, T]]:
    """`work(start, stop)` over 0 to `count`, and by halves where it fails: (start, stop, result) of what succeeded.

    `on_error` is told of the first failure only. Nothing that the work raises leaves this function, and what no part
    covers has failed.
    """
    parts: list[tuple[int, int, T]] = []
    waiting, failed = deque([(0, count)]), False
    for _ in range(1 + CALLS_PER_HALVING * count.bit_length()):
        if not waiting:
            break
        start, stop = waiting.popleft()
        try:
            parts.append((start, stop, work(start, stop)))
        except BaseException as error:  # noqa: BLE001 - even SystemExit must not kill the thread that serves others
            if not failed:
                on_error(error)
            failed = True
            waiting.extend(halves(start, stop))
    return parts


def halves(start: int, stop: int) -> list[tuple[int, int]]:
    """The two halves of a range, or nothing when one passage is left: it is the poison."""
    middle = (start + stop) // 2
    return [(start, middle), (middle, stop)] if stop - start > 1 else []


def described(error: BaseException) -> str:
    """Type and place of an error, for a log: its message might quote a turn's text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "unknown"
    return f"{type(error).__name__} at {place}"


class Complaints:
    """Warnings that are given once, until what they are about is over: a row of failures is one line."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._open: set[str] = set()

    def say(self, about: str, message: str, *values: object) -> None:
        if about not in self._open:
            self._open.add(about)
            self._log.warning(message, *values)

    def over(self, about: str) -> None:
        self._open.discard(about)
