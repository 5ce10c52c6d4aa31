"""What every expert must do, shipped or fake. An expert is added to EXPERTS, a demand to the tests."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

from experts.base import ABSTAINED, OK, Expert, Passage
from experts.executor import Panel
from experts.fakes import ConstantExpert, InstantExpert, NaNExpert
from experts.manifest import read_manifest
from experts.registry import ZOO, load_expert, names
from experts.taxonomy import RISKS
from support.trunks import Stand, WatchedHead

TOLERANCE: Final = 1e-5  # the same turn may differ by this between batches, since sums round differently

SHIPPED: Final = names(ZOO)
EXPERTS: Final[dict[str, Callable[[], Expert]]] = {
    **{name: partial(load_expert, ZOO / name, "cpu") for name in SHIPPED},
    "instant": InstantExpert,
    "constant": ConstantExpert,
    "abstaining": NaNExpert,
    "risks": lambda: Stand().head("risks", WatchedHead((1.0, -2.0)), ("violence", "threat"), ("user",)),
}
MEANINGS: Final = {name: {label.means for label in read_manifest(ZOO / name).labels} for name in SHIPPED}
TELLING: Final = ("risks", *(name for name, meanings in MEANINGS.items() if meanings & set(RISKS)))

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
ODD: Final = (
    *("", " ", "\n\t", "\0", "\u200b", "\ud800", "x\udfff", "\udfff\ud800", "\u0301" * 4000),
    *("x" * 1_048_576, "many words " * 95_326, "\ud800" * 100_000, "🙂" * 262_144),
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


def same(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
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


@pytest.mark.parametrize("text", ODD)
def test_no_text_is_too_odd_to_answer(expert: Expert, text: str) -> None:
    scores = expert.advise(
        [Passage("user", text), Passage("user", "hello"), Passage("assistant", text, (("user", text),))]
    )
    assert scores.shape == (3,)
    assert same(scores[1:2], expert.advise([Passage("user", "hello")]))


def test_a_history_of_thousands_of_turns_is_no_trouble(expert: Expert) -> None:
    history = tuple(("user" if number % 2 else "assistant", f"turn {number}") for number in range(5000))
    assert expert.advise([Passage("assistant", "hello", history)]).shape == (1,)


@pytest.mark.parametrize("expert", TELLING, indirect=True)
def test_risks_are_probabilities_or_nan_and_unknown_where_it_abstains(expert: Expert) -> None:
    said = opine(expert, PASSAGES)
    assert said.dtype == np.float32
    assert said.shape == (len(PASSAGES), len(RISKS))
    assert np.all(np.isnan(said) | ((said >= 0) & (said <= 1)))
    assert np.isnan(said[np.isnan(expert.advise(PASSAGES))]).all()


@pytest.mark.parametrize("expert", TELLING, indirect=True)
def test_risks_are_the_same_alone_in_a_batch_and_in_any_order(expert: Expert) -> None:
    together = opine(expert, PASSAGES)
    order = np.random.default_rng(5).permutation(len(PASSAGES))
    assert same(together, np.concatenate([opine(expert, [passage]) for passage in PASSAGES]))
    assert same(together[order], opine(expert, [PASSAGES[index] for index in order]))


def opine(expert: Any, passages: Sequence[Passage]) -> npt.NDArray[np.float32]:
    risks: npt.NDArray[np.float32] = expert.opine(passages).risks
    return risks


@pytest.fixture(scope="module")
def panel() -> Iterator[Panel]:
    """All shipped experts, asked as the worker asks them."""
    made = Panel([built(name) for name in SHIPPED])
    yield made
    made.close()


def test_a_panel_gives_each_expert_what_it_gives_by_itself(panel: Panel) -> None:
    advice = panel.advise(PASSAGES)
    for column, expert in enumerate(panel.experts):
        assert same(advice.scores[:, column], expert.advise(PASSAGES)), expert.id


def test_one_verdict_is_the_same_alone_in_any_batch_in_any_order_and_beside_any_other_caller(panel: Panel) -> None:
    alone = np.concatenate([panel.advise([passage]).scores for passage in PASSAGES])
    risks = panel.advise(PASSAGES).risks

    def ask(seed: int) -> bool:
        draws = np.random.default_rng(seed)
        rows = draws.permutation(len(PASSAGES))[: draws.integers(1, 25)]
        advice = panel.advise([PASSAGES[row] for row in rows])
        agree = risks is None or (advice.risks is not None and same(advice.risks, risks[rows]))
        return same(advice.scores, alone[rows]) and agree

    with ThreadPoolExecutor(6) as callers:
        assert all(callers.map(ask, range(12)))


@pytest.mark.parametrize("text", ODD)
def test_a_panel_answers_to_any_text(panel: Panel, text: str) -> None:
    passages = [Passage("user", text), Passage("user", "hello"), Passage("assistant", text, (("user", text),))]
    advice = panel.advise(passages)
    assert np.isin(advice.status, (OK, ABSTAINED)).all()
    assert same(advice.scores[1:2], panel.advise([Passage("user", "hello")]).scores)
