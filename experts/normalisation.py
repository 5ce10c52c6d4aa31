"""Undoes what hides a text from a model and not from a reader: look-alike letters, invisible characters, digits for
letters, letters spread out.

Only what a person would read the same is changed, and a text in another script is left as it is: Cyrillic letters
become Latin ones only inside a word that has Latin letters too. Sources of the look-alikes: Unicode Technical Standard
39, `confusables.txt`, for Cyrillic and Greek letters with a Latin twin.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Zero-width, soft-hyphen, direction and filler characters, and variation selectors: they show nothing.
_INVISIBLE: Final = dict.fromkeys(
    (
        *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFEFF, 0xFFA0, 0xE0001, 0xE007F),
        *(*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10)),
        *range(0xE0100, 0xE01F0),
    )
)
# Tag characters are an invisible copy of ASCII, used to smuggle instructions past a reader: they are shown.
_TAGS: Final = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
_SHOWN: Final = {**_INVISIBLE, **_TAGS}

_TWINS: Final = str.maketrans(
    "асԁеһіјӏорԛѕʋԝхуАВСЕНІЈКМОРЅТХУɑοανιρτυκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "acdehijlopqsvwxyABCEHIJKMOPSTXYaoavipтukABEZHIKMNOPTYX",
)
_WORD: Final = re.compile(r"\w+")
_LATIN: Final = re.compile(r"[A-Za-z]")
_FOREIGN: Final = re.compile(r"[\u0370-\u052F\u0251\u028B]")

# A digit or sign between letters. A word's last and first signs are left alone: mp3, 4chan, @name.
_LEET: Final = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"}
_BETWEEN: Final = re.compile(r"(?<=[A-Za-z])[013457@$!]+(?=[A-Za-z])")
_TOKEN: Final = re.compile(r"(?<!\S)\S{3,64}(?!\S)")  # what is longer is no word
# Addresses, file names, versions and identifiers have digits between letters for reasons of their own.
_TECHNICAL: Final = re.compile(r"[/\\_=<>{}()\[\]:#&+]|[26789]|[A-Za-z]\.[A-Za-z]|[a-z][A-Z]|\S@\S+\.")
# Four letters or more, each by itself, with one and the same gap between them.
_SPREAD: Final = re.compile(r"(?<![A-Za-z])[A-Za-z](?:([ .\-_*])[A-Za-z])(?:\1[A-Za-z]){2,}(?![A-Za-z])")
_DRAWN_OUT: Final = re.compile(r"([A-Za-z])\1{2,}")
_ODD: Final = re.compile(rf"{_BETWEEN.pattern}|[A-Za-z]([ .\-_*])[A-Za-z]\1[A-Za-z]\1[A-Za-z]|([A-Za-z])\2\2")
# Whatever `_ODD` finds, one of these finds, in a sixth of the time on a text without any.
_HINTS: Final = (
    re.compile(r"[013457@$!](?=[A-Za-z])"),
    re.compile(r"[ .\-_*][A-Za-z](?=[ .\-_*][A-Za-z][ .\-_*])"),
    re.compile(r"(.)\1\1"),
)


def normalised(text: str) -> str:
    """The text as a reader sees it. It depends on nothing but the text, and a plain text comes back unchanged."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_SHOWN)
        if _FOREIGN.search(text):
            text = _WORD.sub(lambda found: _latin(found[0]), text)
    if not any(hint.search(text) for hint in _HINTS) or _ODD.search(text) is None:
        return text
    text = _SPREAD.sub(lambda found: found[0].replace(found[1], ""), text)
    text = _TOKEN.sub(lambda found: _spelled(found[0]), text)
    return _DRAWN_OUT.sub(r"\1\1", text)


def _latin(word: str) -> str:
    """A word that mixes scripts, with its look-alikes in Latin."""
    return word.translate(_TWINS) if _LATIN.search(word) and _FOREIGN.search(word) else word


def _spelled(token: str) -> str:
    """Digits and signs between letters as the letters that they stand for."""
    if _TECHNICAL.search(token):
        return token
    return _BETWEEN.sub(lambda found: "".join(_LEET[sign] for sign in found[0]), token)
