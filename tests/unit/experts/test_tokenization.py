import pytest

from experts.base import Passage
from experts.errors import ModelError
from experts.tokenization import CHARACTERS_PER_TOKEN, open_tokenizer, readable, reading

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
    assert len(readable("x" * 1_000_000, 128)) == 128 * CHARACTERS_PER_TOKEN


def test_a_page_of_blanks_does_not_push_the_rest_out() -> None:
    assert readable("one" + " \n" * 100_000 + "two", 8) == "one two"


def test_a_short_text_is_left_as_it_is() -> None:
    assert readable("one  two\n", 8) == "one  two\n"


def test_half_a_surrogate_pair_is_replaced_and_whole_letters_are_kept() -> None:
    assert readable("naïve \ud83d 😀", 8) == "naïve ? 😀"


def test_a_file_that_is_no_tokenizer_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"words\.json is no tokenizer file .*: export"):
        open_tokenizer(b"{}", 8, "words.json")
