"""The records of all partitions in a worker's memory: packed, summed in one order, and never mixed up."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import MomentsCorruptError, MomentsVersionError, encode, total
from ensemble.codec import VERSION
from stream.parts import Packed, Parts
from support.rounds import PANEL, learned, random_rounds

seeds = st.integers(0, 2**32 - 1)


@cache
def record(seed: int) -> bytes:
    """What a partition has learned, of a panel that depends on the seed."""
    experts = 1 + seed % len(PANEL)
    return encode(learned(random_rounds(seed, seed % 6, experts), PANEL[:experts]))


@given(seeds)
@settings(max_examples=30)
def test_a_packed_record_comes_back_to_the_last_bit(seed: int) -> None:
    given_bytes = record(seed)
    packed = Packed(given_bytes)
    assert packed.record() == given_bytes
    assert encode(packed.moments()) == given_bytes


def test_a_record_of_few_labels_is_packed_to_half() -> None:
    one_label = encode(learned(random_rounds(1, 1, asleep=0.0)))
    assert len(Packed(one_label)) < len(one_label) / 2


def test_a_damaged_record_and_one_of_another_version_are_refused_when_they_are_read() -> None:
    good = record(7)
    with pytest.raises(MomentsCorruptError, match="does not match its checksum"):
        Packed(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(MomentsVersionError, match=f"version {VERSION + 1}"):
        Packed(good[:2] + bytes([VERSION + 1]) + good[3:])


came = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 9)), max_size=24)


@given(came, st.data())
@settings(max_examples=60)
def test_totals_are_the_same_bits_whatever_the_order_of_records_and_whatever_was_forgotten(
    found: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    """Records of one partition come in their order; those of different ones in any."""
    in_order, forgetful = Parts(1 << 30), Parts(1)
    newest: dict[tuple[str, int], bytes] = {}
    for offset, (key, partition, seed) in enumerate(found):
        in_order.take(key, partition, offset, record(seed))
        newest[key, partition] = record(seed)
    places = list(range(len(found)))
    for place in data.draw(st.permutations(places)):
        key, partition, seed = found[place]
        forgetful.take(key, partition, place, record(seed))
        forgetful.total(data.draw(st.sampled_from("ab")))
    for key in "ab":
        wanted = total(Packed(newest[key, number]).moments() for number in range(4) if (key, number) in newest)
        assert encode(in_order.total(key)) == encode(forgetful.total(key)) == encode(wanted)


def test_a_record_that_says_what_is_known_changes_nothing_but_its_offset() -> None:
    parts = Parts(1 << 20)
    assert parts.take("a", 0, 5, record(3)) is not None
    before = parts.total("a")
    assert parts.take("a", 0, 9, record(3)) is None
    assert parts.total("a") is before
    assert parts.take("a", 0, 7, record(4)) is None, "it is older than what was said again"
    assert parts.total("a") is before
    assert parts.take("a", 0, 10, record(4)) is not None
    assert encode(parts.total("a")) == record(4)


def test_it_knows_its_keys() -> None:
    parts = Parts(1 << 20)
    parts.take("a", 0, 1, record(1))
    parts.take("b", 1, 1, record(2))
    assert (list(parts), len(parts), "a" in parts, "c" in parts) == (["a", "b"], 2, True, False)
    assert parts.total("c").rounds == 0
