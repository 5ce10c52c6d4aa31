"""A record comes back bit for bit, or is refused with its reason."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import MomentsCorruptError, MomentsVersionError, decode, encode, zero
from ensemble.codec import VERSION, checked
from ensemble.moments import SUMS, Moments, shapes
from support.rounds import PANEL, learned, random_rounds

BEFORE = zlib.decompress(
    base64.b64decode(
        "eNpz9GViYmKQYmBgYGKAgyP/Q246QtkOEOqDPZSuB1MKaxyilfJzUhwMlXQUlIoPr8xNzCvJLCxNdTBSiv3B38D8v+EHg/0f/gNA"
        "xh8G+3/MPxhkfzf8Y2CvB3H/8P8Div9/YL8AZFYDAy7AgsKDuuQC1CUL7ItXW9tvWiRwoOaJelOf+MX9qC6Fqdtg/97y1z8nvW/7"
        "J902EUzKvISm7gWUfmQPk4epR1VHrP0PoPIH4Oog5j2D2n8ITd0NKH3JHiYPU4+qDj0mHsD9hepeTHUwd8PMRTUfHrMkqofZg/Av"
        "RB3bAYg/Hu1HNw9V3bX9MBpVHanqH0HohmsQWuEMVFzAofto0/+9++UcuK2/6Htd5jiwZcvMip9cX+DpAkKvgNKL4OHQB9Z3z170"
        "z7KuNX8u7u8KWN8tz30UTd8WKL3THiYPUw/Tj6p+BpRusoe465/97d8mU8uibu9/InTpkm7oDnh6QVU/CR4uEHPPQe05CHXXVjR9"
        "S6D0SnuYPEw9TD9q/L2Ap78dy6ewf0n6v/+cmrpUl8i7/fRNR7RK18SmU3LNpXb4EWsuqflEwAFXuCs2rloHABEmweM="
    )
)
"""A record of schema version 2 as the code wrote it before contexts were kept packed: two labels, two experts, two
half-lives."""


def same_bits(a: Moments, b: Moments) -> bool:
    named = (a.experts, a.half_lives, a.at, a.rounds) == (b.experts, b.half_lives, b.at, b.rounds)
    return named and same_arrays(a, b)


def same_arrays(a: Moments, b: Moments) -> bool:
    return all(np.asarray(getattr(a, n)).tobytes() == np.asarray(getattr(b, n)).tobytes() for n in SUMS)


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.integers(1, 5))
@settings(max_examples=60)
def test_moments_come_back_to_the_last_bit(seed: int, count: int, experts: int) -> None:
    moments = learned(random_rounds(seed, count, experts), PANEL[:experts])
    assert same_bits(decode(encode(moments)), moments)


@pytest.mark.parametrize("moments", [zero(()), zero(PANEL, (inf,)), zero(("sémantique@1", 'a "quoted" name@2'))])
def test_records_without_rounds_come_back_too(moments: Moments) -> None:
    assert same_bits(decode(encode(moments)), moments)


def test_a_negative_zero_and_the_smallest_numbers_survive() -> None:
    moments = zero(("a@1",))
    total = np.array(moments.total)
    total[0] = [-0.0, 5e-324, -1e308, np.pi, 0.0, 1.0]
    odd = replace(moments, at=0.1, rounds=-3, used=-0.0, cold=2.5, total=total)
    assert same_bits(decode(encode(odd)), odd)


def test_cells_that_nothing_has_filled_take_no_room() -> None:
    assert len(encode(zero(PANEL))) < 400
    assert len(encode(learned(random_rounds(1, 1, asleep=0.0)))) < len(encode(learned(random_rounds(1, 500)))) / 2
    assert len(encode(learned(random_rounds(1, 500)))) < 14_000


def test_another_schema_version_is_refused_by_number() -> None:
    data = bytearray(encode(zero(PANEL)))
    data[2] = VERSION + 1
    with pytest.raises(MomentsVersionError, match=f"version {VERSION + 1}, this worker reads {VERSION}"):
        decode(bytes(data))


@given(st.data())
@settings(max_examples=100)
def test_a_record_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    record = bytearray(encode(learned(random_rounds(4, 6))))
    position = data.draw(st.integers(0, len(record) * 8 - 1))
    record[position // 8] ^= 1 << position % 8
    with pytest.raises((MomentsCorruptError, MomentsVersionError)):
        decode(bytes(record))


@given(st.integers(0, 2000))
@settings(max_examples=60)
def test_a_record_cut_short_is_refused(length: int) -> None:
    record = encode(learned(random_rounds(4, 6)))
    with pytest.raises(MomentsCorruptError, match="restore the moments changelog"):
        decode(record[: min(length, len(record) - 1)])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(MomentsCorruptError):
        decode(data)


def test_sizes_are_checked_before_anything_is_allocated() -> None:
    head = struct.pack("<2sBBHIqddd", b"AM", VERSION, 255, 65_535, 2, 0, 0.0, 0.0, 0.0)
    with pytest.raises(MomentsCorruptError, match="255 half-lives and 65535 experts need"):
        decode(sealed(head + b"[]"))


@pytest.mark.parametrize(
    ("names", "complaint"),
    [(b'["a@1","b@1"]', "names no 1 experts"), (b'{"a@1":1}    ', "names no 1 experts"), (b'["a@1"       ', "corrupt")],
)
def test_a_sealed_record_that_contradicts_itself_is_refused(names: bytes, complaint: str) -> None:
    record = encode(zero(("a@1",), (inf,)))[:-4].replace(b'["a@1"]', names)
    with pytest.raises(MomentsCorruptError, match=complaint):
        decode(sealed(record[:6] + struct.pack("<I", len(names)) + record[10:]))


def test_a_sealed_record_with_a_name_twice_is_refused() -> None:
    record = encode(zero(("a@1", "b@1"), (inf,)))[:-4].replace(b"b@1", b"a@1")
    with pytest.raises(MomentsCorruptError, match="name one twice"):
        decode(sealed(record))


def test_a_record_written_by_earlier_code_is_read_and_written_again_to_the_last_bit() -> None:
    moments = decode(BEFORE)
    assert encode(moments) == BEFORE
    assert (moments.experts, moments.half_lives) == (("old@1", "sémantique@2"), (inf, 3600.0))
    assert (moments.rounds, moments.used, moments.cold, moments.counted) == (2, 2.0, 1.0, 3.0)
    np.testing.assert_array_equal(moments.own[..., 0], [[2.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(moments.expert[1, :, 2, 1], [0.125, 0.375])


cells = st.one_of(st.just(0.0), st.floats(width=64), st.sampled_from([-0.0, 5e-324, -1e308, float("inf")]))


@given(st.data(), st.integers(0, 3), st.integers(1, 3))
@settings(max_examples=60)
def test_any_cells_at_all_come_back_to_the_last_bit(data: st.DataObject, experts: int, half_lives: int) -> None:
    empty = zero(PANEL[:experts], (inf, 60.0, 1.0)[:half_lives])
    chance = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    few = data.draw(st.lists(cells, min_size=1, max_size=8))
    arrays = {name: chance.choice(np.array([0.0, *few]), getattr(empty, name).shape) for name in shapes(0, 0)}
    odd = replace(empty, at=data.draw(st.floats()), used=data.draw(cells), cold=data.draw(cells), **arrays)
    again = decode(encode(odd))
    assert same_arrays(again, odd)
    assert encode(again) == encode(odd)


def test_a_record_is_checked_without_being_read() -> None:
    record = encode(learned(random_rounds(4, 6)))
    assert checked(record) == record[:-4]
    with pytest.raises(MomentsCorruptError):
        checked(record[:-1] + bytes([record[-1] ^ 1]))
