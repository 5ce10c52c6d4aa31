"""The kinds `classifier` and `backbone`: an encoder over tokens, whose output is logits or the features of heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from experts.base import Passage
from experts.batching import CPU_BUDGET, CUDA_BUDGET, padded
from experts.errors import ModelError
from experts.manifest import Manifest
from experts.served import OnnxExpert
from experts.session import Device, Session
from experts.tokenization import encode_cut, open_tokenizer, reading
from experts.trunk import LINGER_ON_CUDA, Trunk

TYPES: Final = "token_type_ids"
NEEDED: Final = frozenset({"input_ids", "attention_mask"})
# Of the BERT family; MPNet, RoBERTa and DistilBERT do without the types.
INPUTS: Final = NEEDED | {TYPES}


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
    """Reads the text; with `history`, for a reply, also the user turn that it answers. `types`: whether the model asks
    which of the two texts a token belongs to.
    """

    tokenizer: Tokenizer
    max_tokens: int
    history: bool
    pad: int
    types: bool = True

    def encode(self, passages: Sequence[Passage]) -> list[Tokens]:
        readings = [reading(passage, self.max_tokens, self.history) for passage in passages]
        encodings = encode_cut(self.tokenizer, readings, self.max_tokens)
        return [
            Tokens(encoding.ids, encoding.type_ids) if passage.text.strip() else NOTHING
            for passage, encoding in zip(passages, encodings, strict=True)
        ]

    def feeds(self, rows: Sequence[Tokens]) -> Mapping[str, npt.NDArray[Any]]:
        ids = padded([row.ids for row in rows], pad=self.pad)
        lengths = np.array([len(row) for row in rows])
        feeds = {"input_ids": ids, "attention_mask": (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)}
        return feeds | {TYPES: padded([row.types for row in rows])} if self.types else feeds


def encoder(manifest: Manifest, files: Mapping[str, bytes], device: Device, threads: int | None) -> Trunk[Tokens]:
    """The encoder of a checked folder. ModelError or DeviceError as `Session` and `open_tokenizer` say, and ModelError
    if the tokenizer gives ids that the model has no embedding for.
    """
    reads = manifest.reads
    tokenizer = open_tokenizer(files["tokenizer.json"], None, f"tokenizer.json of {manifest.id}")
    model = files["model.onnx"]
    session = Session(model, f"the model of {manifest.id}", set(NEEDED), device, threads, frozenset({TYPES}))
    on_cuda = session.device == "cuda"
    trunk = Trunk(
        manifest.id,
        reads.roles,
        ClassifierReader(tokenizer, reads.max_tokens, reads.history, manifest.tokens.pad, TYPES in session.inputs),
        session,
        CUDA_BUDGET if on_cuda else CPU_BUDGET,
        LINGER_ON_CUDA if on_cuda else 0.0,
    )
    _refuse_other_tokenizer(trunk, max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0))
    return trunk


def _refuse_other_tokenizer(trunk: Trunk[Tokens], largest: int) -> None:
    """Found now, in a run of one token, and not with the first turn that has a rare word."""
    try:
        trunk.run([Tokens([largest], [0])])
    except Exception as error:  # the runtime's exceptions have no common base
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"the tokenizer of {trunk.name} gives ids up to {largest}, and its model fails on that one ({reason}): "
            "they do not belong together; export the expert again"
        ) from error


def classifier(
    manifest: Manifest, files: Mapping[str, bytes], device: Device, threads: int | None
) -> OnnxExpert[Tokens]:
    """The expert of a checked folder. Errors as `encoder` and `OnnxExpert` say."""
    return OnnxExpert(manifest, encoder(manifest, files, device, threads))
