"""Lines of a file or a pipe as they come: nothing waits for a line that is not there yet, and memory is bounded."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from stream.codecs import Rejected

CHUNK_BYTES = 1 << 18
"""Read at once: about a thousand turns, of which a batch is made."""
MAX_LINE_BYTES = 8 << 20
"""A longer line is refused. The longest text that a setting allows (500 kB) takes 3 MB in JSON with every byte
escaped."""


class Readable(Protocol):
    """A binary file that answers with what is there."""

    def read1(self, size: int = -1, /) -> bytes: ...


class Line(NamedTuple):
    """A line that is not blank: its number, from 1, and its bytes, or the problem for which they were dropped."""

    number: int
    value: bytes
    problem: Rejected | None = None


def read_lines(file: Readable) -> Iterator[list[Line]]:
    """Yields the lines of each read, so that a pipe's are handed on as soon as they are there.

    Blank lines are counted and left out, a byte order mark before the first is dropped.
    """
    number, rest, overlong = 1, b"", False
    while chunk := file.read1(CHUNK_BYTES):
        *ended, rest = (rest + chunk).split(b"\n")
        lines = []
        for value in ended:
            lines += _line(number, value, overlong)
            number, overlong = number + 1, False
        if len(rest) > MAX_LINE_BYTES:
            rest, overlong = b"", True
        if lines:
            yield lines
    if last := _line(number, rest, overlong):
        yield last


def _line(number: int, value: bytes, overlong: bool) -> list[Line]:
    if overlong or len(value) > MAX_LINE_BYTES:
        return [Line(number, b"", Rejected("text_too_large", f"the line is over {MAX_LINE_BYTES} bytes: send less"))]
    stripped = (value.removeprefix(codecs.BOM_UTF8) if number == 1 else value).strip()
    return [Line(number, stripped)] if stripped else []
