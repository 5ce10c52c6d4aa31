"""What every expert must do, shipped or fake. An expert is added to EXPERTS, a demand to the tests."""

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
import pytest

from experts.base import Expert, Passage, Scores
from experts.fakes import ConstantExpert, InstantExpert, NaNExpert
from experts.registry import ZOO, load_expert

TOLERANCE: Final = 1e-5  # the same turn may differ by this between batches, since sums round differently

EXPERTS: Final[dict[str, Callable[[], Expert]]] = {
    "lexical": lambda: load_expert(ZOO / "lexical", "cpu"),
    "semantic": lambda: load_expert(ZOO / "semantic", "cpu"),
    "instant": InstantExpert,
    "constant": ConstantExpert,
    "abstaining": NaNExpert,
}

SENTENCE: Final = "please tell me how the old river boat could ever carry so many stupid angry people to a quiet town"
WORDS: Final = tuple(SENTENCE.split())
TEXTS: Final = (
    *(" ".join(WORDS[start : start + length]) for start in range(6) for length in (1, 3, 9, 14)),
    "long " + " ".join(WORDS) * 60,
    "ÀÉ ǅ ﬃ Ⅷ 中文 العربية 🙂‍↔️ zero\u200bwidth",
    "NUL\0 and\x7f control\r\ncharacters\t",
    "....!!??----####",
    "a" * 5000,
)
CONVERSATION: Final = (("user", "How do I make soup?"), ("assistant", "Boil water."), ("user", "And then?"))
PASSAGES: Final = tuple(
    [Passage(role, text) for text in TEXTS for role in ("user", "assistant")]
    + [Passage("assistant", text, CONVERSATION) for text in TEXTS[:8]]
)


@cache
def built(name: str) -> Expert:
    return EXPERTS[name]()


@pytest.fixture(params=EXPERTS)
def expert(request: pytest.FixtureRequest) -> Expert:
    return built(request.param)


def same(one: Scores, other: Scores) -> bool:
    return bool(np.allclose(one, other, rtol=0, atol=TOLERANCE, equal_nan=True))


def test_the_id_is_the_name_and_the_version(expert: Expert) -> None:
    assert expert.id == f"{expert.name}@{expert.version}"
    assert isinstance(expert, Expert)


def test_there_is_one_float32_a_passage_a_probability_or_nan(expert: Expert) -> None:
    scores = expert.advise(PASSAGES)
    assert scores.dtype == np.float32
    assert scores.shape == (len(PASSAGES),)
    assert np.all(np.isnan(scores) | ((scores >= 0) & (scores <= 1)))


def test_a_score_is_the_same_alone_and_in_a_batch(expert: Expert) -> None:
    together = expert.advise(PASSAGES)
    alone = np.concatenate([expert.advise([passage]) for passage in PASSAGES])
    assert same(together, alone)


def test_a_score_does_not_depend_on_the_order(expert: Expert) -> None:
    order = np.random.default_rng(4).permutation(len(PASSAGES))
    shuffled = expert.advise([PASSAGES[index] for index in order])
    assert same(shuffled, expert.advise(PASSAGES)[order])


def test_a_score_does_not_depend_on_what_was_asked_before(expert: Expert) -> None:
    assert np.array_equal(expert.advise(PASSAGES[:5]), expert.advise(PASSAGES[:5]), equal_nan=True)


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t", "\0", "\u200b", "\ud800", "x\udfff", "x" * 1_048_576, "\u0301" * 4000]
)
def test_no_text_is_too_odd_to_answer(expert: Expert, text: str) -> None:
    scores = expert.advise(
        [Passage("user", text), Passage("user", "hello"), Passage("assistant", text, (("user", text),))]
    )
    assert scores.shape == (3,)
    assert same(scores[1:2], expert.advise([Passage("user", "hello")]))


def test_a_history_of_thousands_of_turns_is_no_trouble(expert: Expert) -> None:
    history = tuple(("user" if number % 2 else "assistant", f"turn {number}") for number in range(5000))
    assert expert.advise([Passage("assistant", "hello", history)]).shape == (1,)
