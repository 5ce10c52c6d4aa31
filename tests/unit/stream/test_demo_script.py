from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from stream.demo.script import SHARES, Event, LabelEvent, TurnEvent, load, script, stamp
from stream.records import Label, Turn

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return script(load(), seed=1)


def turns(events: list[Event]) -> list[TurnEvent]:
    return [event for event in events if isinstance(event, TurnEvent)]


def labels(events: list[Event], kind: str | None = None) -> list[LabelEvent]:
    return [event for event in events if isinstance(event, LabelEvent) and kind in (None, event.kind)]


def test_the_same_seed_gives_the_same_script_and_another_gives_another(events: list[Event]) -> None:
    assert script(load(), seed=1) == events
    assert script(load(), seed=2) != events


def test_every_turn_is_sent_once_and_in_order_within_its_conversation(events: list[Event]) -> None:
    spoken = defaultdict(list)
    for event in turns(events):
        spoken[event.turn["conversation_id"]].append(event.turn["turn_id"])
    assert spoken == {each["conversation_id"]: [turn["turn_id"] for turn in each["turns"]] for each in load()}


def test_events_come_by_time_inside_the_script(events: list[Event]) -> None:
    times = [event.at for event in events]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= 60


def test_conversations_overlap(events: list[Event]) -> None:
    order = [event.turn["conversation_id"] for event in turns(events)]
    changes = sum(before != after for before, after in pairwise(order))
    assert changes > 2 * len(set(order))


def test_every_label_belongs_to_a_turn_of_the_same_conversation_and_tenant(events: list[Event]) -> None:
    known = {e.turn["turn_id"]: (e.turn["conversation_id"], e.turn["tenant"]) for e in turns(events)}
    for event in labels(events):
        assert known[event.label["turn_id"]] == (event.label["conversation_id"], event.label["tenant"])


def test_labels_of_every_kind_have_their_share(events: list[Event]) -> None:
    count = len(turns(events))
    kinds = Counter(event.kind for event in labels(events))
    assert {kind: kinds[kind] for kind in ("early", "twice", "corrected")} == {
        kind: round(SHARES[kind] * count) for kind in ("early", "twice", "corrected")
    }
    assert len({event.label["turn_id"] for event in labels(events)}) == count - round(SHARES["none"] * count)


def test_labels_wait_one_to_twelve_seconds_unless_they_are_early(events: list[Event]) -> None:
    sent = {event.turn["turn_id"]: event.at for event in turns(events)}
    for event in labels(events):
        delay = event.at - sent[event.label["turn_id"]]
        assert delay <= 0 if event.kind == "early" else 1 <= delay <= 12


def test_an_early_label_is_sent_before_its_turn(events: list[Event]) -> None:
    place = {event.turn["turn_id"]: number for number, event in enumerate(events) if isinstance(event, TurnEvent)}
    early = [(number, e) for number, e in enumerate(events) if isinstance(e, LabelEvent) and e.kind == "early"]
    assert early
    assert all(number < place[event.label["turn_id"]] for number, event in early)


def test_a_label_sent_twice_is_the_same_word_for_word(events: list[Event]) -> None:
    for again in labels(events, "twice"):
        sendings = [event for event in labels(events) if event.label["turn_id"] == again.label["turn_id"]]
        assert [event.kind for event in sendings] == ["late", "twice"]
        assert sendings[0].label == sendings[1].label


def test_a_correction_takes_back_a_wrong_label_of_the_same_annotator(events: list[Event]) -> None:
    truth = {turn["turn_id"]: turn["label"] for each in load() for turn in each["turns"]}
    for correction in labels(events, "corrected"):
        wrong, right = (e.label for e in labels(events) if e.label["turn_id"] == correction.label["turn_id"])
        assert wrong["annotator"] == right["annotator"]
        assert wrong["labelled_at"] < right["labelled_at"]
        assert wrong["label"] != right["label"] == truth[right["turn_id"]]


def test_where_three_people_label_a_turn_the_majority_is_right(events: list[Event]) -> None:
    truth = {turn["turn_id"]: turn["label"] for each in load() for turn in each["turns"]}
    votes: dict[str, dict[str, str]] = defaultdict(dict)
    for event in labels(events):
        votes[event.label["turn_id"]][event.label["annotator"]] = event.label["label"]
    panels = {turn_id: given for turn_id, given in votes.items() if len(given) == 3}
    assert len(panels) == round(SHARES["panel"] * len(turns(events)))
    for turn_id, given in panels.items():
        assert Counter(given.values()).most_common()[0] == (truth[turn_id], 2)


def test_assistants_carry_what_was_said_before(events: list[Event]) -> None:
    said: dict[str, list[dict[str, str]]] = defaultdict(list)
    for event in turns(events):
        turn = event.turn
        before = said[turn["conversation_id"]]
        assert turn.get("history") == (before if turn["role"] == "assistant" else None)
        before.append({"role": turn["role"], "text": turn["text"]})


@pytest.mark.parametrize("seconds", [6.0, 120.0])
def test_another_length_scales_every_time_alike(events: list[Event], seconds: float) -> None:
    other = script(load(), seed=1, seconds=seconds)
    assert [event.at for event in other] == pytest.approx([event.at * seconds / 60 for event in events])
    assert [stamp(event, START).keys() for event in other] == [stamp(event, START).keys() for event in events]


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_script_without_length_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        script(load(), seed=1, seconds=seconds)


def test_stamped_events_are_valid_on_the_wire(events: list[Event]) -> None:
    for event in events:
        record = msgspec.json.encode(stamp(event, START))
        if isinstance(event, TurnEvent):
            sent_at = msgspec.json.decode(record, type=Turn).sent_at
            assert abs(sent_at - START - timedelta(seconds=event.at)) < timedelta(milliseconds=1)
        else:
            assert msgspec.json.decode(record, type=Label).labelled_at >= START


def test_stamping_leaves_the_event_as_it_was(events: list[Event]) -> None:
    first = turns(events)[0]
    stamp(first, START)
    assert first.turn["sent_at"] == first.at


def test_no_conversations_give_an_empty_script() -> None:
    assert script([], seed=1) == []
