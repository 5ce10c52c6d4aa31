import math
import random

import numpy as np
import pytest

from experts.base import Passage
from experts.taxonomy import INDEX, RISKS
from experts.train.contrast import REFUSALS, contrasts, framed, tasks
from experts.train.data import Example
from experts.train.lessons import (
    COLUMNS,
    DEFENSIVE,
    HEADS,
    JAILBREAK,
    PERMISSIVE,
    REPLIES,
    disguised,
    lesson,
    own_examples,
)


def example(role: str = "user", source: str = "catqa", risks: frozenset[str] | None = None, **more: float) -> Example:
    readings = {"permissive": 1.0, "defensive": 1.0} | more
    return Example(Passage(role, "a text of some words"), **readings, risks=risks, source=source, group="g")


def test_a_reply_teaches_the_head_for_replies_and_a_prompt_the_one_for_jailbreaks() -> None:
    reply, prompt = lesson(example("assistant", "diasafety")), lesson(example("user", "catqa"))
    assert (reply.weights[REPLIES], reply.weights[JAILBREAK]) == (1.0, 0.0)
    assert prompt.weights[REPLIES] == 0.0
    assert prompt.weights[JAILBREAK] > 0


def test_a_reading_without_an_answer_teaches_nothing() -> None:
    taught = lesson(example(permissive=math.nan))
    assert taught.weights[PERMISSIVE] == 0.0
    assert taught.weights[DEFENSIVE] == taught.targets[DEFENSIVE] == 1.0
    assert np.isfinite(taught.targets).all()


def test_risks_that_nobody_named_teach_nothing_and_those_named_teach_most() -> None:
    unknown, named = lesson(example()), lesson(example(risks=frozenset({"hate"})))
    safe = lesson(example(risks=frozenset(), permissive=0.0, defensive=0.0))
    column = len(HEADS) + INDEX["hate"]
    assert not unknown.weights[len(HEADS) :].any()
    assert named.targets[column] == named.weights[column] == 1.0
    assert named.weights[column + 1] < 1.0
    assert safe.weights[len(HEADS) :].tolist() == [1.0] * len(RISKS)
    assert len(named.targets) == COLUMNS


def test_every_form_is_harmless_and_harmful_with_the_same_words_and_names_a_risk_where_it_is_harmful() -> None:
    found = list(contrasts())
    assert len({ask.text for ask in found}) > 1000
    assert 0.2 < sum(ask.unsafe for ask in found) / len(found) < 0.5
    assert all((ask.risk in RISKS) == ask.unsafe for ask in found)
    assert not any("{" in ask.text for ask in found)


def test_a_frame_keeps_the_ask_and_its_label() -> None:
    asks, chance = list(contrasts()), random.Random(1)
    by_text = {ask.text: ask for ask in asks}
    for ask in framed(asks, 200, chance):
        inside = max((text for text in by_text if text in ask.text), key=len)
        assert by_text[inside].unsafe == ask.unsafe


def test_orders_are_harmless_and_filled_in() -> None:
    found = list(tasks(300, random.Random(2)))
    assert not any(ask.unsafe or "{" in ask.text for ask in found)
    assert len({ask.text for ask in found}) > 250


def test_own_prompts_are_the_same_for_a_seed_and_refusals_are_safe_replies_to_unsafe_asks() -> None:
    rows = [example(source="aart_prompts"), example(source="davidson_hate_offensive")]
    found = list(own_examples(rows, 0.1, random.Random(3)))
    assert found == list(own_examples(rows, 0.1, random.Random(3)))
    refusals = [row for row in found if row.source == "refusals"]
    assert [row.passage.history for row in refusals] == [(("user", "a text of some words"),)]
    assert all(row.passage.text in REFUSALS and not row.unsafe for row in refusals)


@pytest.mark.parametrize("seed", range(20))
def test_a_disguise_changes_the_text_and_nothing_else(seed: int) -> None:
    row = Example(Passage("user", "please translate something"), 1.0, 1.0, None, "s", "g")
    changed = disguised(row, random.Random(seed))
    assert changed.passage.text != row.passage.text
    assert (changed.permissive, changed.defensive, changed.group) == (1.0, 1.0, "g")
