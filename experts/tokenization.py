"""From passages to token ids: what an expert reads of a passage, and a `tokenizers` file that turns it into numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tokenizers import Encoding, Tokenizer

from experts.base import Passage
from experts.errors import ModelError

# English needs 4 to 5 characters a token; 16 leaves room for odd words, and keeps a text of a megabyte from costing a
# second.
CHARACTERS_PER_TOKEN: Final = 16

Reading = str | tuple[str, str]


def open_tokenizer(content: bytes, max_tokens: int, what: str) -> Tokenizer:
    """The tokenizer of a file's content, without padding and cut at `max_tokens`. ModelError, naming `what`, if it is
    none.
    """
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"{what} is no tokenizer file ({error}): export the expert again") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def readable(text: str, max_tokens: int) -> str:
    """The part of a text that can matter to `max_tokens`, as valid Unicode.

    Runs of white space become one space before a long text is cut, so that a page of blanks does not push the rest out.
    """
    if len(text) > max_tokens * CHARACTERS_PER_TOKEN:
        text = " ".join(text.split())[: max_tokens * CHARACTERS_PER_TOKEN]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


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
