"""From passages to token ids: what an expert reads of a passage, and a `tokenizers` file that turns it into numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tokenizers import Encoding, Tokenizer

from experts.base import Passage
from experts.errors import ModelError
from experts.normalisation import normalised

# English needs 4 to 5 characters a token; 16 leaves room for odd words, and keeps a text of a megabyte from costing a
# second.
CHARACTERS_PER_TOKEN: Final = 16

# Where a text is too long its beginning and its end are read: what a long prompt asks for stands at either.
HEAD: Final = 2 / 3
# Of a reply and its prompt that are too long together, the prompt keeps at most this share.
PROMPT: Final = 1 / 3

Reading = str | tuple[str, str]


def open_tokenizer(content: bytes, max_tokens: int | None, what: str) -> Tokenizer:
    """The tokenizer of a file's content, without padding, cut at `max_tokens` (None: not at all). ModelError, naming
    `what`, if it is none.
    """
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"{what} is no tokenizer file ({error}): export the expert again") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if max_tokens is not None:
        tokenizer.enable_truncation(max_tokens)
    return tokenizer


def readable(text: str, max_tokens: int) -> str:
    """The part of a text that can matter to `max_tokens`, as valid Unicode, without its disguises.

    Runs of white space become one space before a long text loses its middle, so that a page of blanks does not push the
    rest out.
    """
    most = max_tokens * CHARACTERS_PER_TOKEN
    if len(text) > most:
        text = " ".join(text.split())
    if len(text) > most:
        head = round(most * HEAD)
        text = f"{text[:head]} {text[head - most :]}"
    return normalised(text if text.isascii() else text.encode("utf-8", "replace").decode())


def reading(passage: Passage, max_tokens: int, history: bool) -> Reading:
    """What a text classifier reads: the text; for a reply, where `history` is read, the last user turn before it and
    the text.
    """
    text = readable(passage.text, max_tokens)
    if history and passage.role == "assistant":
        for role, prompt in reversed(passage.history):
            if role == "user":
                return readable(prompt, max_tokens), text
    return text


def encode(tokenizer: Tokenizer, readings: Sequence[Reading]) -> list[Encoding]:
    """The encodings of N readings, in their order, with the special tokens that the file prescribes."""
    return list(tokenizer.encode_batch_fast(list(readings)))


def cut(ids: Sequence[int], room: int) -> Sequence[int]:
    """A text's token ids, without special ones, in at most `room`: its beginning and its end."""
    head = round(room * HEAD)
    return ids if len(ids) <= room else [*ids[:head], *ids[len(ids) - (room - head) :]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The token ids of a reading, special ones included, and which of its texts each belongs to."""

    ids: list[int]
    type_ids: list[int]


class Frame:
    """The special tokens that a tokenizer puts around one text, or around two and between them.

    They are put there by hand: a `tokenizers.Encoding` that was truncated keeps what was cut off in pieces, and putting
    two of them together makes every pair of pieces (46 s for two texts of 200 letters).
    """

    def __init__(self, tokenizer: Tokenizer, texts: int) -> None:
        """ModelError if the tokenizer makes nothing of a letter, or does not put texts in their order."""
        letter = tokenizer.encode("a", add_special_tokens=False).ids
        framed = tokenizer.encode(*["a"] * texts)
        content = [place for place, special in enumerate(framed.special_tokens_mask) if not special]
        if not letter or [framed.ids[place] for place in content] != letter * texts:
            raise ModelError("the tokenizer does not put its special tokens around texts: export the expert again")
        # A special token's (id, type), or the type of the tokens of the text that stands here.
        self._slots: list[tuple[int, int] | int] = []
        for place, (id_, kind) in enumerate(zip(framed.ids, framed.type_ids, strict=True)):
            if place not in content:
                self._slots.append((id_, kind))
            elif content.index(place) % len(letter) == 0:
                self._slots.append(kind)
        self.special = len(framed.ids) - len(content)

    def filled(self, *texts: Sequence[int]) -> Encoded:
        """The token ids of the texts, each in its place."""
        remaining, result = iter(texts), Encoded([], [])
        for slot in self._slots:
            ids, kind = ([slot[0]], slot[1]) if isinstance(slot, tuple) else (next(remaining), slot)
            result.ids.extend(ids)
            result.type_ids.extend([kind] * len(ids))
        return result


def encode_cut(tokenizer: Tokenizer, readings: Sequence[Reading], max_tokens: int) -> list[Encoded]:
    """The encodings of N readings in at most `max_tokens` tokens each, special ones included; what is too long loses
    its middle. The tokenizer must neither pad nor truncate.
    """
    texts = [text for reading in readings for text in (reading if isinstance(reading, tuple) else (reading,))]
    encodings = iter(tokenizer.encode_batch_fast(texts, add_special_tokens=False))
    one, two = Frame(tokenizer, 1), Frame(tokenizer, 2)
    alone, pair = max_tokens - one.special, max_tokens - two.special
    result = []
    for reading in readings:
        first = next(encodings).ids
        if isinstance(reading, str):
            result.append(one.filled(cut(first, alone)))
            continue
        second = next(encodings).ids
        prompt = cut(first, max(round(pair * PROMPT), pair - len(second)))
        result.append(two.filled(prompt, cut(second, pair - len(prompt))))
    return result
