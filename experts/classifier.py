"""The kind `classifier`: an encoder with one logit, over WordPiece-like tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from tokenizers import Tokenizer

from experts.base import Passage
from experts.batching import CPU_BUDGET, CUDA_BUDGET, padded
from experts.manifest import Manifest
from experts.served import OnnxExpert
from experts.session import Device, Session
from experts.tokenization import encode, open_tokenizer, reading

INPUTS = {"input_ids", "attention_mask", "token_type_ids"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token ids of a passage, and which of its two texts each belongs to."""

    ids: Sequence[int]
    types: Sequence[int]

    def __len__(self) -> int:
        return len(self.ids)


NOTHING = Tokens((), ())


@dataclass(frozen=True, slots=True)
class ClassifierReader:
    """Reads the text; with `history`, for a reply, also the user turn that it answers."""

    tokenizer: Tokenizer
    max_tokens: int
    history: bool
    pad: int

    def encode(self, passages: Sequence[Passage]) -> list[Tokens]:
        readings = [reading(passage, self.max_tokens, self.history) for passage in passages]
        encodings = encode(self.tokenizer, readings)
        return [
            Tokens(encoding.ids, encoding.type_ids) if passage.text.strip() else NOTHING
            for passage, encoding in zip(passages, encodings, strict=True)
        ]

    def feeds(self, rows: Sequence[Tokens]) -> Mapping[str, npt.NDArray[Any]]:
        return {
            "input_ids": padded([row.ids for row in rows], pad=self.pad),
            "attention_mask": padded([[1] * len(row) for row in rows]),
            "token_type_ids": padded([row.types for row in rows]),
        }


def classifier(
    manifest: Manifest, files: Mapping[str, bytes], device: Device, threads: int | None
) -> OnnxExpert[Tokens]:
    """The expert of a checked folder. ModelError or DeviceError as `Session` and `open_tokenizer` say."""
    reads = manifest.reads
    tokenizer = open_tokenizer(files["tokenizer.json"], reads.max_tokens, f"tokenizer.json of {manifest.id}")
    session = Session(files["model.onnx"], f"the model of {manifest.id}", INPUTS, device, threads)
    budget = CUDA_BUDGET if session.device == "cuda" else CPU_BUDGET
    return OnnxExpert(
        manifest, ClassifierReader(tokenizer, reads.max_tokens, reads.history, manifest.tokens.pad), session, budget
    )
