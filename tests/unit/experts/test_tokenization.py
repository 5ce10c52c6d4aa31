from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from experts.base import Passage
from experts.errors import ModelError
from experts.tokenization import CHARACTERS_PER_TOKEN, Reading, encode_cut, open_tokenizer, readable, reading

PROMPT = (("user", "first question"), ("assistant", "first answer"), ("user", "second question"))


def test_a_reply_is_read_with_the_last_user_turn_before_it() -> None:
    history = (*PROMPT, ("assistant", "a first half"))
    assert reading(Passage("assistant", "no", history), 8, history=True) == ("second question", "no")


def test_a_user_turn_is_read_alone() -> None:
    assert reading(Passage("user", "third question", PROMPT), 8, history=True) == "third question"


def test_a_reply_without_a_user_turn_before_it_is_read_alone() -> None:
    assert reading(Passage("assistant", "hello", (("system", "be kind"),)), 8, history=True) == "hello"


def test_history_is_not_read_unless_the_expert_reads_it() -> None:
    assert reading(Passage("assistant", "no", PROMPT), 8, history=False) == "no"


def test_a_long_text_is_cut_before_it_costs_anything() -> None:
    assert len(readable("xy" * 500_000, 128)) == 128 * CHARACTERS_PER_TOKEN + 1


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    found = readable(f"first {'and on ' * 10_000} last", 8)
    assert found.startswith("first and")
    assert found.endswith("on last")


def test_what_hides_letters_is_undone() -> None:
    assert readable("k\u200bi\u200bll h1m", 8) == "kill him"


def words() -> Tokenizer:
    """A word a token: w0 is 10, w1 is 11, and so on; 1 begins, 2 ends and stands between two texts."""
    tokenizer = Tokenizer(models.WordLevel({"[CLS]": 1, "[SEP]": 2} | {f"w{n}": 10 + n for n in range(50)}, "[SEP]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [("[CLS]", 1), ("[SEP]", 2)]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", special)
    return tokenizer


def text(*numbers: int) -> str:
    return " ".join(f"w{n}" for n in numbers)


def ids(reading: Reading, max_tokens: int) -> list[int]:
    (encoding,) = encode_cut(words(), [reading], max_tokens)
    return encoding.ids


def test_a_text_that_fits_is_encoded_whole() -> None:
    assert ids(text(0, 1, 2), 5) == [1, 10, 11, 12, 2]


def test_a_text_that_is_too_long_loses_its_middle() -> None:
    assert ids(text(*range(20)), 11) == [1, 10, 11, 12, 13, 14, 15, 27, 28, 29, 2]


def test_a_long_prompt_leaves_room_for_the_reply() -> None:
    assert ids((text(*range(20)), text(40, 41)), 9) == [1, 10, 11, 12, 29, 2, 50, 51, 2]
    assert len(ids((text(*range(20)), text(*range(20, 40))), 15)) == 15


def test_a_prompt_keeps_a_third_when_both_are_too_long() -> None:
    found = ids((text(*range(20)), text(*range(20, 40))), 15)
    prompt = found[1 : found.index(2)]
    assert prompt == [10, 11, 12, 29]


def test_two_texts_that_are_far_too_long_are_cut_without_putting_all_their_pieces_together() -> None:
    found = ids((text(*[7] * 3000), text(*[9] * 3000)), 15)
    assert found == [1, *[17] * 4, 2, *[19] * 8, 2]


@pytest.mark.parametrize(
    "processor",
    [
        None,
        processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 1), ("[SEP]", 2)]),
        processors.TemplateProcessing("$A", "$A $B:1", []),
        processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1)),
        processors.RobertaProcessing(("[SEP]", 2), ("[CLS]", 1)),
    ],
)
def test_texts_that_fit_are_framed_as_the_library_does_it(processor: Any) -> None:
    tokenizer = words()
    if processor is None:
        tokenizer = Tokenizer(tokenizer.model)
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    else:
        tokenizer.post_processor = processor
    readings: list[Reading] = [text(3), text(1, 2, 3), (text(4, 5), text(6)), (text(), text(6)), text()]
    ours = encode_cut(tokenizer, readings, 12)
    for one, found in zip(readings, ours, strict=True):
        expected = tokenizer.encode(one) if isinstance(one, str) else tokenizer.encode(*one)
        assert (found.ids, found.type_ids) == (expected.ids, expected.type_ids)


@given(st.lists(st.integers(0, 49), max_size=40), st.lists(st.integers(0, 49), max_size=40), st.integers(6, 40))
def test_no_reading_takes_more_tokens_than_there_are(one: list[int], other: list[int], most: int) -> None:
    whole = len(one) + len(other) + 3
    assert len(ids((text(*one), text(*other)), most)) == min(whole, most)
    assert len(ids(text(*one), most)) == min(len(one) + 2, most)


def test_a_page_of_blanks_does_not_push_the_rest_out() -> None:
    assert readable("one" + " \n" * 100_000 + "two", 8) == "one two"


def test_a_short_text_is_left_as_it_is() -> None:
    assert readable("one  two\n", 8) == "one  two\n"


def test_half_a_surrogate_pair_is_replaced_and_whole_letters_are_kept() -> None:
    assert readable("naïve \ud83d 😀", 8) == "naïve ? 😀"


def test_a_file_that_is_no_tokenizer_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"words\.json is no tokenizer file .*: export"):
        open_tokenizer(b"{}", 8, "words.json")
