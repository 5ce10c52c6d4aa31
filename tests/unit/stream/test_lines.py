from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream import lines
from stream.lines import Line, read_lines


class Pieces:
    """A pipe: each read answers with one piece, the last with nothing."""

    def __init__(self, *pieces: bytes) -> None:
        self.waiting = list(pieces)

    def read1(self, size: int = -1, /) -> bytes:
        return self.waiting.pop(0) if self.waiting else b""


def all_of(file: lines.Readable) -> list[Line]:
    return [line for batch in read_lines(file) for line in batch]


def test_lines_are_numbered_from_one_and_blank_ones_are_counted_but_left_out() -> None:
    assert all_of(io.BytesIO(b"a\n\n \r\nb\r\nc")) == [Line(1, b"a"), Line(4, b"b"), Line(5, b"c")]


def test_a_byte_order_mark_before_the_first_line_is_dropped_and_elsewhere_kept() -> None:
    assert all_of(io.BytesIO(b"\xef\xbb\xbfa\n\xef\xbb\xbfb")) == [Line(1, b"a"), Line(2, b"\xef\xbb\xbfb")]


def test_lines_of_a_pipe_are_handed_on_before_the_next_read() -> None:
    pipe = Pieces(b"a\nb\nc", b"d\n", b"e")
    batches = read_lines(pipe)
    assert next(batches) == [Line(1, b"a"), Line(2, b"b")]
    assert pipe.waiting == [b"d\n", b"e"]
    assert list(batches) == [[Line(3, b"cd")], [Line(4, b"e")]]


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_however_a_file_is_cut_into_reads_its_lines_are_the_same(values: list[bytes]) -> None:
    whole = b"\n".join(values)
    cuts = [whole[start : start + 3] for start in range(0, len(whole), 3)]
    assert all_of(Pieces(*cuts)) == all_of(io.BytesIO(whole))


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_over_the_limit_is_named_and_those_around_it_are_read(
    monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)
    read = all_of(Pieces(b"a\n" + b"x" * 11, b"x" * 11, b"x" * 11 + end + (b"b" if end else b"")))
    assert [(line.number, line.value) for line in read] == [(1, b"a"), (2, b""), (3, b"b")][: 3 if end else 2]
    assert read[1].problem is not None
    assert read[1].problem.detail == "the line is over 10 bytes: send less"
