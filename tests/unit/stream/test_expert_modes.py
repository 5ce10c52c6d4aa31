"""Who is asked and who votes, from the records of `experts.v1` alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.expert_modes import LONGEST_NAME, Wish, Wishes, lineup
from stream.records import ModeName

BASE = ("lexical", "toxic")
MODES: tuple[ModeName, ...] = ("enabled", "shadow", "disabled")
AT = "2026-01-01T00:00:00Z"


def record(offset: int, name: str, mode: str | None, partition: int = 0) -> Any:
    value = None if mode is None else msgspec.json.encode({"mode": mode, "at": AT})
    return SimpleNamespace(offset=offset, partition=partition, key=name.encode(), value=value)


def said(*records: Any) -> Wishes:
    wishes = Wishes()
    wishes.learn(records)
    return wishes


def modes(*records: Any) -> dict[str, str]:
    return dict(lineup(BASE, said(*records).wishes).modes)


def test_without_a_record_the_experts_of_the_settings_vote_and_no_other_is_asked() -> None:
    assert modes() == {"lexical": "enabled", "toxic": "enabled"}


def test_the_newest_record_of_each_expert_says_its_mode() -> None:
    assert modes(record(0, "toxic", "disabled"), record(1, "guard", "shadow"), record(2, "toxic", "shadow")) == {
        "lexical": "enabled",
        "toxic": "shadow",
        "guard": "shadow",
    }


def test_others_stand_behind_those_of_the_settings_by_name() -> None:
    assert list(modes(record(0, "zeta", "enabled"), record(1, "alpha", "enabled"))) == [*BASE, "alpha", "zeta"]


def test_a_tombstone_gives_an_expert_back_to_the_settings() -> None:
    assert modes(record(0, "toxic", "disabled"), record(1, "toxic", None)) == modes()
    assert modes(record(0, "guard", "enabled"), record(1, "guard", None)) == modes()


def test_records_read_again_from_the_beginning_change_nothing() -> None:
    records = [record(0, "toxic", "disabled"), record(1, "toxic", "shadow")]
    wishes = said(*records)
    assert not wishes.learn(records[:1])
    assert dict(lineup(BASE, wishes.wishes).modes) == {"lexical": "enabled", "toxic": "shadow"}


@pytest.mark.parametrize(
    "bad",
    [
        record(0, "toxic", "retired"),
        record(0, "../toxic", "disabled"),
        record(0, "", "disabled"),
        SimpleNamespace(offset=0, partition=0, key=b"\xff", value=b"{}"),
        SimpleNamespace(offset=0, partition=0, key=None, value=b"{}"),
        SimpleNamespace(offset=0, partition=0, key=b"toxic", value=b"no json"),
        SimpleNamespace(offset=0, partition=0, key=b"toxic", value=b""),
    ],
    ids=str,
)
def test_what_names_no_expert_or_no_mode_is_counted_and_changes_nothing(bad: Any) -> None:
    wishes = said(bad)
    assert (wishes.unreadable, wishes.wishes) == (1, {})


def test_of_wishes_that_leave_nobody_to_vote_the_newest_are_not_followed() -> None:
    found = lineup(BASE, said(record(0, "lexical", "shadow"), record(1, "toxic", "disabled")).wishes)
    assert dict(found.modes) == {"lexical": "shadow", "toxic": "enabled"}
    assert found.unmet == {"toxic"}


def test_a_wish_that_was_not_followed_is_when_another_expert_votes() -> None:
    found = lineup(
        BASE,
        said(record(0, "lexical", "disabled"), record(1, "toxic", "disabled"), record(2, "guard", "enabled")).wishes,
    )
    assert dict(found.modes) == {"guard": "enabled"}
    assert not found.unmet


changes = st.lists(st.tuples(st.sampled_from([*BASE, "guard", "extra"]), st.sampled_from([*MODES, None])), max_size=12)


@given(changes)
def test_somebody_votes_whatever_is_wished_and_as_much_as_can_be_is_followed(
    wished: list[tuple[str, ModeName | None]],
) -> None:
    wishes = said(*(record(offset, name, mode) for offset, (name, mode) in enumerate(wished))).wishes
    found = lineup(BASE, wishes)
    assert found.voters
    for name, wish in wishes.items():
        assert (found.modes.get(name, "disabled") == wish.mode) == (name not in found.unmet)
    if found.unmet:
        oldest = min(found.unmet, key=lambda name: wishes[name].place)
        kept = {name: wish for name, wish in wishes.items() if wish.place <= wishes[oldest].place}
        assert found.modes[oldest] == "enabled"
        assert lineup(BASE, kept).unmet == {oldest}


@given(changes, st.integers(0, 12))
def test_a_worker_that_starts_late_comes_to_the_same_from_the_compacted_topic(
    wished: list[tuple[str, ModeName | None]], live: int
) -> None:
    records = [record(offset, name, mode) for offset, (name, mode) in enumerate(wished)]
    newest = {r.key: r for r in records}
    early, late = said(*records[:live]), said(*sorted(newest.values(), key=lambda r: r.offset))
    early.learn(records)
    assert early.wishes == late.wishes
    assert lineup(BASE, early.wishes) == lineup(BASE, late.wishes)


def test_wishes_are_older_and_newer_by_their_place_in_the_topic() -> None:
    wishes = {"toxic": Wish("disabled", (5, 0)), "lexical": Wish("disabled", (4, 0))}
    assert lineup(BASE, wishes).unmet == {"toxic"}


def test_a_name_longer_than_any_is_no_experts() -> None:
    wishes = said(record(0, "x" * LONGEST_NAME, "shadow"), record(1, "x" * (LONGEST_NAME + 1), "shadow"))
    assert (len(wishes.wishes), wishes.unreadable) == (1, 1)
