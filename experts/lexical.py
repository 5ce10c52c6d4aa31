"""The kind `lexical`: a linear model over n-grams of words and characters, hashed inside the ONNX graph.

The text alone is read. `tokenizer.json` gives word ids and `characters.json` character ids, both from 1, since 0 is
padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy.typing as npt
from tokenizers import Tokenizer

from experts.base import Passage
from experts.batching import padded
from experts.manifest import Manifest
from experts.served import OnnxExpert
from experts.session import Device, Session
from experts.tokenization import encode, open_tokenizer, readable
from experts.trunk import Trunk

INPUTS: Final = {"words", "characters"}
# The longest n-grams: the graph slices that many columns, so a batch is never narrower.
WORD_ORDERS: Final = (1, 2)
CHARACTER_ORDERS: Final = (2, 3, 4, 5)
CHARACTERS_PER_WORD: Final = 8
# Padded characters a batch: some megabytes of n-grams at a time, which stay in the cache.
BUDGET: Final = 16384


@dataclass(frozen=True, slots=True)
class Grams:
    """The word ids and character ids of a passage."""

    words: Sequence[int]
    characters: Sequence[int]

    def __len__(self) -> int:
        return len(self.characters) if self.words else 0


@dataclass(frozen=True, slots=True)
class LexicalReader:
    """Reads the text, cut at a number of words and eight times as many characters."""

    words: Tokenizer
    characters: Tokenizer
    max_tokens: int

    def encode(self, passages: Sequence[Passage]) -> list[Grams]:
        texts = [readable(passage.text, self.max_tokens) for passage in passages]
        pairs = zip(encode(self.words, texts), encode(self.characters, texts), strict=True)
        return [Grams(words.ids, characters.ids) for words, characters in pairs]

    def feeds(self, rows: Sequence[Grams]) -> Mapping[str, npt.NDArray[Any]]:
        return {
            "words": padded([row.words for row in rows], least=WORD_ORDERS[-1]),
            "characters": padded([row.characters for row in rows], least=CHARACTER_ORDERS[-1]),
        }


def lexical_reader(words: bytes, characters: bytes, max_tokens: int, what: str) -> LexicalReader:
    """The reader of two tokenizer files. ModelError, naming `what`, if one of them is none."""
    return LexicalReader(
        open_tokenizer(words, max_tokens, f"tokenizer.json of {what}"),
        open_tokenizer(characters, max_tokens * CHARACTERS_PER_WORD, f"characters.json of {what}"),
        max_tokens,
    )


def lexical(manifest: Manifest, files: Mapping[str, bytes], device: Device, threads: int | None) -> OnnxExpert[Grams]:
    """The expert of a checked folder. It runs on the CPU whatever the device: a table look-up gains nothing from a
    GPU.
    """
    reader = lexical_reader(files["tokenizer.json"], files["characters.json"], manifest.reads.max_tokens, manifest.id)
    session = Session(files["model.onnx"], f"the model of {manifest.id}", INPUTS, "cpu", 1)
    return OnnxExpert(manifest, Trunk(manifest.id, manifest.reads.roles, reader, session, BUDGET))
