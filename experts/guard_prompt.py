"""A guard's prompt as token ids: `guard.json`, and the reading of passages into rows of ids.

The instruction before the conversation and the request after it are lists of ids, made once at export. A turn's text is
encoded by itself and put between them, so that no text can change their tokens; and it can never become a special
token, since those are looked for in no turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from experts.base import Passage
from experts.batching import padded
from experts.errors import ModelError
from experts.guard_policy import SPEAKERS, Policy, closing, instruction
from experts.tokenization import HEAD, readable

PROMPT: Final = "guard.json"
FORM: Final = 1
JUDGED: Final = tuple(SPEAKERS)
# Of an earlier turn fewer tokens than this are not worth reading.
LEAST_HISTORY: Final = 8
# Text that could pass for the prompt's own structure gets a space or a quotation mark in it.
MARKERS: Final = re.compile(r"(?i)([<\[])(?=/?(?:BEGIN\b|END\b|INST\]|<?/?SYS>))")
SPEECH: Final = re.compile(rf"(?im)^(?=[ \t]*(?:{'|'.join(SPEAKERS.values())})[ \t]*:)")

Id = Annotated[int, msgspec.Meta(ge=0)]
Ids = tuple[Id, ...]


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands around the turns, in token ids, and the ids of the two verdicts.

    `instructions` and `closings` are by the judged role, `speakers` by the role of a turn; `between` stands between two
    turns. `forbidden` are ids that no turn may contain.
    """

    form: Literal[1]
    reading: Policy
    instructions: dict[str, Ids]
    speakers: dict[str, Ids]
    between: Ids
    closings: dict[str, Ids]
    safe: Id
    unsafe: Id
    forbidden: Ids


@dataclass(frozen=True, slots=True)
class Style:
    """How a family of models marks the instruction's begin and end, and how its answers begin."""

    opening: str
    ending: str
    space: str  # before the answer
    after: str  # what the answer's first token follows


STYLES: Final[Mapping[str, Style]] = {
    "llama3": Style(
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "",
        "\n",
    ),
    "chatml": Style("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "", "\n"),
    "llama2": Style("<s>[INST] ", " [/INST]", " ", "]"),
    "plain": Style("", "\n", "", "\n"),
}
MARKS: Final = {"llama3": "<|start_header_id|>", "chatml": "<|im_start|>", "llama2": "<s>"}


def style_of(tokenizer: Tokenizer) -> str:
    """The style whose special tokens the tokenizer has; `plain` if it has none of them."""
    return next((style for style, mark in MARKS.items() if tokenizer.token_to_id(mark) is not None), "plain")


def after(tokenizer: Tokenizer, text: str, before: str) -> list[int]:
    """The ids of a text where it follows `before`: tokenizers of the SentencePiece kind put a space in front of a text
    that stands alone.
    """
    lead, ids, alone = (plain(tokenizer, each) for each in (before, before + text, text))
    return list(ids[len(lead) :] if ids[: len(lead)] == lead else alone)


def plain(tokenizer: Tokenizer, text: str) -> Ids:
    """The ids of a text of our own: the names of special tokens in it become these."""
    return tuple(tokenizer.encode(text, add_special_tokens=False).ids)


def make_prompt(
    tokenizer: Tokenizer,
    reading: Policy,
    policy: str | None = None,
    style: str | None = None,
    answers: tuple[str, str] = ("safe", "unsafe"),
) -> Prompt:
    """The prompt in the tokens of a model. ModelError if its tokens do not tell the two answers apart."""
    form = STYLES[style or style_of(tokenizer)]
    safe, unsafe = (after(tokenizer, form.space + answer, form.after)[0] for answer in answers)
    if safe == unsafe:
        raise ModelError(
            f"the tokenizer begins {answers[0]!r} and {answers[1]!r} with one token: a guard's verdict is its first "
            "token, so name answers that begin otherwise"
        )
    return Prompt(
        form=FORM,
        reading=reading,
        instructions={role: plain(tokenizer, form.opening + instruction(role, reading, policy)) for role in JUDGED},
        speakers={role: tuple(after(tokenizer, f"{name}:", "\n")) for role, name in SPEAKERS.items()},
        between=tuple(after(tokenizer, "\n\n", "a")),
        closings={role: tuple(after(tokenizer, closing(role) + form.ending, "a")) for role in JUDGED},
        safe=safe,
        unsafe=unsafe,
        forbidden=forbidden(tokenizer),
    )


def forbidden(tokenizer: Tokenizer) -> Ids:
    """The ids of all added tokens but the one for the unknown."""
    unknown = json.loads(tokenizer.to_str())["model"].get("unk_token")
    added = tokenizer.get_added_tokens_decoder()
    return tuple(sorted(id_ for id_, token in added.items() if token.content != unknown))


def read_prompt(content: bytes, what: str) -> Prompt:
    """The prompt of a file's content. ModelError, naming `what`, if it is none or lacks a role."""
    try:
        prompt = msgspec.json.decode(content, type=Prompt)
    except msgspec.DecodeError as error:
        raise ModelError(f"{what} is no guard's prompt ({error}): export the expert again") from error
    for part in (prompt.instructions, prompt.closings, prompt.speakers):
        if missing := set(JUDGED) - {role for role, ids in part.items() if ids}:
            raise ModelError(f"{what} says nothing of the role {sorted(missing)[0]!r}: export the expert again")
    return prompt


@dataclass(frozen=True, slots=True)
class Conversation:
    """The ids that follow the instruction for the judged role; none if there is nothing to judge."""

    judged: str
    ids: Sequence[int]

    def __len__(self) -> int:
        return len(self.ids)


class GuardReader:
    """Reads a user's turn alone, and a reply with the turns before it, the newest first, as far as the room goes.

    A turn that is too long loses its middle. The room, `max_tokens`, is that of the conversation: the prompt around it
    is not counted.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Prompt, max_tokens: int, history: bool, pad: int = 0) -> None:
        """The tokenizer is the reader's from here on: it neither pads, cuts, nor knows special tokens."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True
        self.prompt = prompt
        self._tokenizer = tokenizer
        self._max_tokens, self._history, self._pad = max_tokens, history, pad
        self._forbidden = frozenset(prompt.forbidden)
        self._lead = tokenizer.encode("a", add_special_tokens=False).ids

    def encode(self, passages: Sequence[Passage]) -> list[Conversation]:
        """One row a passage; empty if its text is blank."""
        turns = [self._turns(passage) for passage in passages]
        texts = [text for each in turns for _, text in each]
        encoded = iter(self._tokenizer.encode_batch_fast([f"a {text}" for text in texts], add_special_tokens=False))
        ids = [[(role, self._spoken(next(encoded).ids)) for role, _ in each] for each in turns]
        return [Conversation(passage.role, self._joined(each)) for passage, each in zip(passages, ids, strict=True)]

    def feeds(self, rows: Sequence[Conversation]) -> Mapping[str, npt.NDArray[Any]]:
        """The ids padded on the right, their lengths, and which instruction each follows (an index into JUDGED)."""
        return {
            "input_ids": padded([row.ids for row in rows], pad=self._pad),
            "lengths": np.array([len(row) for row in rows], np.int64),
            "judged": np.array([JUDGED.index(row.judged) for row in rows], np.int64),
        }

    def _turns(self, passage: Passage) -> list[tuple[str, str]]:
        """What is read of the conversation as (role, text), the judged turn first, then backwards."""
        if passage.role not in JUDGED or not passage.text.strip():
            return []
        told = passage.history if self._history and passage.role == "assistant" else ()
        # A turn costs at least its speaker, so more of them than tokens cannot be read.
        before = [(role, text) for role, text in told if role in SPEAKERS and text.strip()][-self._max_tokens :]
        turns = [(passage.role, passage.text), *reversed(before)]
        return [(role, defused(readable(text, self._max_tokens))) for role, text in turns]

    def _spoken(self, ids: list[int]) -> list[int]:
        """A turn's own ids, without the letter before it and without what may not be in it."""
        own = ids[len(self._lead) :] if ids[: len(self._lead)] == self._lead else ids
        return [id_ for id_ in own if id_ not in self._forbidden]

    def _joined(self, turns: list[tuple[str, list[int]]]) -> list[int]:
        """The conversation in its order, and the request after it."""
        if not turns or not turns[0][1]:
            return []
        conversation, room = list[int](), self._max_tokens
        for role, ids in turns:
            speaker, between = self.prompt.speakers[role], self.prompt.between if conversation else ()
            left = room - len(speaker) - len(between)
            if conversation and left < min(LEAST_HISTORY, len(ids)):
                break
            part = [*speaker, *shortened(ids, max(1, left)), *between]
            conversation, room = part + conversation, room - len(part)
        return [*conversation, *self.prompt.closings[turns[0][0]]]


def shortened(ids: list[int], room: int) -> list[int]:
    """The begin and the end of what is too long."""
    if len(ids) <= room:
        return ids
    head = round(room * HEAD)
    return ids[:head] + ids[len(ids) - (room - head) :]


def defused(text: str) -> str:
    """The text with what could pass for the prompt's structure taken apart: its markers, and lines that begin with a
    speaker's name.
    """
    return SPEECH.sub("> ", MARKERS.sub(r"\1 ", text))
