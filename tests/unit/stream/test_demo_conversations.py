from collections import Counter
from itertools import chain

import pytest

from stream.demo.script import Conversation, DemoTurn, load

TAXONOMY = {
    "Hate/Identity Hate",
    "Sexual",
    "Violence",
    "Suicide and Self Harm",
    "Threat",
    "Sexual Minor",
    "Guns/Illegal Weapons",
    "Controlled/Regulated Substances",
    "Criminal Planning/Confessions",
    "PII/Privacy",
    "Harassment",
    "Profanity",
    "Other",
    "Needs Caution",
    "Illegal Activity",
    "Immoral/Unethical",
    "Unauthorized Advice",
    "Political/Misinformation/Conspiracy",
    "Fraud/Deception",
    "Copyright/Trademark/Plagiarism",
    "High Risk Government Decision Making",
    "Malware",
    "Manipulation",
}


@pytest.fixture(scope="module")
def conversations() -> list[Conversation]:
    return load()


@pytest.fixture(scope="module")
def turns(conversations: list[Conversation]) -> list[DemoTurn]:
    return list(chain.from_iterable(conversation["turns"] for conversation in conversations))


def test_there_is_enough_talk_for_a_minute(conversations: list[Conversation], turns: list[DemoTurn]) -> None:
    assert len(conversations) >= 42
    assert len(turns) >= 240


def test_every_category_of_the_taxonomy_is_met_and_no_other(
    conversations: list[Conversation], turns: list[DemoTurn]
) -> None:
    assert {conversation["category"] for conversation in conversations} == TAXONOMY | {"ordinary"}
    assert set(chain.from_iterable(turn["categories"] for turn in turns)) == TAXONOMY


def test_at_least_half_of_the_turns_are_ordinary_talk(conversations: list[Conversation], turns: list[DemoTurn]) -> None:
    ordinary = sum(len(each["turns"]) for each in conversations if each["category"] == "ordinary")
    assert ordinary >= len(turns) / 2


def test_the_mix_of_labels_is_a_natural_one(turns: list[DemoTurn]) -> None:
    share = {label: count / len(turns) for label, count in Counter(turn["label"] for turn in turns).items()}
    assert share.keys() == {"safe", "needs_caution", "unsafe"}
    assert 0.22 <= share["unsafe"] <= 0.35
    assert 0.05 <= share["needs_caution"] <= 0.10


def test_each_tenant_has_both_classes_from_users_and_from_assistants(conversations: list[Conversation]) -> None:
    seen = {(each["tenant"], turn["role"], turn["label"]) for each in conversations for turn in each["turns"]}
    for tenant in ("acme", "globex"):
        assert (tenant, "system", "safe") in seen
        assert {(tenant, role, label) for role in ("user", "assistant") for label in ("safe", "unsafe")} <= seen


def test_ids_are_unique_and_name_their_conversation_and_place(conversations: list[Conversation]) -> None:
    for number, conversation in enumerate(conversations, 1):
        assert conversation["conversation_id"] == f"demo-{number:03d}"
        expected = [f"demo-{number:03d}-{place:02d}" for place in range(1, len(conversation["turns"]) + 1)]
        assert [turn["turn_id"] for turn in conversation["turns"]] == expected


def test_no_text_occurs_twice_or_is_longer_than_two_short_sentences(turns: list[DemoTurn]) -> None:
    texts = [turn["text"] for turn in turns]
    assert len(set(texts)) == len(texts)
    assert all(0 < len(text) <= 200 and text == text.strip() for text in texts)


def test_only_turns_that_are_not_safe_have_categories(turns: list[DemoTurn]) -> None:
    assert all(bool(turn["categories"]) == (turn["label"] != "safe") for turn in turns)


def test_talk_that_sounds_dangerous_but_is_not_comes_in_the_last_third(conversations: list[Conversation]) -> None:
    third = len(conversations) * 2 // 3
    late = [turn["text"] for each in conversations[third:] if each["category"] == "ordinary" for turn in each["turns"]]
    assert sum("kill" in text or "murder" in text or "shoot" in text or "attack" in text for text in late) >= 10
