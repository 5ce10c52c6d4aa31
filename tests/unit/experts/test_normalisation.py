import pytest
from hypothesis import given
from hypothesis import strategies as st

from experts.normalisation import _HINTS, _ODD, normalised


@pytest.mark.parametrize(
    ("hidden", "seen"),
    [
        ("k\u200bi\u200bl\u200bl", "kill"),
        ("k\u00adill", "kill"),
        ("\uff4b\uff49\uff4c\uff4c", "kill"),
        ("\U0001d4c0\U0001d4be\U0001d4c1\U0001d4c1", "kill"),
        ("p\u0430yp\u0430l", "paypal"),
        ("k1ll h1m", "kill him"),
        ("h0w do I st34l", "how do I steal"),
        ("b@dly", "badly"),
        ("k i l l them", "kill them"),
        ("k.i.l.l", "kill"),
        ("k-i-l-l", "kill"),
        ("kiiiiill", "kiill"),
        ("safe" + "".join(chr(0xE0000 + ord(c)) for c in " kill"), "safe kill"),
    ],
)
def test_what_a_reader_sees_is_what_a_model_reads(hidden: str, seen: str) -> None:
    assert normalised(hidden) == seen


@pytest.mark.parametrize(
    "text",
    [
        "How are you today?",
        "an mp3 of 4chan for @name at 7pm, $20",
        "mail ann4b@example.com or see https://a1b.example/x0y",
        "the base64 of utf8 in h264",
        "\u043f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430?",
        "\u03ba\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1",
        "\u4f60\u597d",
        "plan A or B",
        "x0yZ and my_v4r",
    ],
)
def test_a_plain_text_stays_as_it_is(text: str) -> None:
    assert normalised(text) == text


@given(st.text(max_size=200))
def test_any_text_has_a_normal_form_that_stays(text: str) -> None:
    once = normalised(text)
    assert isinstance(once, str)
    assert len(once) <= 18 * max(1, len(text))  # the longest that one character becomes under NFKC


@given(st.text(alphabet="aeik1 .-@3", max_size=60))
def test_a_disguise_is_lifted_whatever_stands_around(text: str) -> None:
    assert "kill" in normalised(f"{text} k1ll\n")


@pytest.mark.timeout(20)  # a pattern that goes back and forth over these takes minutes
@pytest.mark.parametrize("unit", ["a", "a1", "a ", "a.b", "@1", "a!", "a-", "1", " "])
def test_no_text_makes_the_patterns_slow(unit: str) -> None:
    assert normalised(unit * 100_000)


@given(st.text(alphabet="aAbB1@!2 .-_*é\n", max_size=24))
def test_a_hint_finds_every_disguise(text: str) -> None:
    assert any(hint.search(text) for hint in _HINTS) or _ODD.search(text) is None
