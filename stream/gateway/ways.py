"""What the two ways to a verdict have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from stream.records import Turn, Verdict
from stream.web.answers import Refusal

BUSY_SECONDS = 1
"""After which a caller who found no room is told to ask again: several batches have passed by then."""


class ToVerdicts(Protocol):
    """One way."""

    async def verdicts(self, turns: Sequence[Turn], headers: Mapping[str, str], again: bool) -> list[Verdict]:
        """The verdicts of the turns of one request, in their order; `headers` go with them where there are records;
        `again`: sent again, the request would have the same turns.

        Raises Refusal: 503 when it cannot be now, 504 when they do not come in time."""

    def trouble(self) -> str | None:
        """Why no verdict could be had now; None when all is well."""

    async def run(self) -> None:
        """For ever, beside the requests. Raises what the service must end with."""


class Room:
    """For so many turns on their way at a time, whichever way: what comes on top is refused at once, which costs the
    caller a second and us nothing, and would otherwise wait for longer than it is waited for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    @contextmanager
    def of(self, count: int) -> Iterator[None]:
        """Holds room for `count` turns. Raises Refusal (503) when there is none; an empty room takes any request."""
        if self.taken and self.taken + count > self._most:
            message = f"{self.taken} texts are on their way, of {self._most}: ask again after {BUSY_SECONDS} s"
            raise Refusal(503, message, "overloaded", headers={"Retry-After": str(BUSY_SECONDS)})
        self.taken += count
        try:
            yield
        finally:
            self.taken -= count


def late(seconds: float, message: str, retry: bool) -> Refusal:
    """The answer of 504. `retry`: whether the same request is worth another try; OpenAI's clients heed that header."""
    line = f"no verdict within {seconds:g} s: {message}"
    return Refusal(504, line, "timeout", headers={"x-should-retry": "true" if retry else "false"})
