"""Makes an expert of somebody else's sequence classifier: exported, compared with PyTorch, calibrated, described."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec
import numpy as np

from experts.base import Passage, Scores
from experts.calibration import Calibration
from experts.classifier import NEEDED, TYPES, ClassifierReader, classifier
from experts.errors import ExportError
from experts.export.calibrating import Worth, calibrated
from experts.export.card import card
from experts.export.folder import digests, write_expert
from experts.export.halves import halved
from experts.export.labels import column_names, column_outputs, label_map, refuse_undecided
from experts.export.origin import MAX_TOKENS, Origin
from experts.export.parity import Ask, Feeds, Logits, Parity, compared, in_batches
from experts.export.pytorch import (
    Source,
    content_of,
    digest,
    large_matrices,
    pytorch_logits,
    read_source,
    round_weights,
    traced,
)
from experts.export.storage import Matrix, store_as_int8
from experts.export.wish import Wish
from experts.manifest import VERSION, Label, Manifest, Platt, Reads, Tokens
from experts.manifest import Source as Made
from experts.outputs import Outputs
from experts.progress import Say
from experts.session import Session
from experts.texts import neutral
from experts.tokenization import open_tokenizer

T = TypeVar("T")

# Of the texts that a user gives as many are compared with PyTorch, spread evenly: on two cores a minute of a large
# model.
COMPARED: Final = 256
# Turns scored between two looks at the progress.
STRIDE: Final = 64
# Hexadecimal digits of a version, which is made from the files: other files are another expert to the ensemble.
DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class Added:
    """What was made: the manifest, how far it is from PyTorch, and what it is worth if there were labelled turns."""

    manifest: Manifest
    parity: Parity
    worth: Worth | None


def add_classifier(origin: Origin, folder: Path, wish: Wish, say: Say) -> Added:
    """Write the expert into an empty folder. ExportError if the model cannot become one, ManifestError or ModelError if
    what was made does not load.
    """
    outputs = column_outputs(origin.config)
    labels = label_map(column_names(origin.config), wish.labels)
    refuse_undecided(labels, outputs)
    say("reading the model", 0, 0)
    source = read_source(origin)
    draft = drafted(origin, source, wish, labels, outputs)
    content, parity = exported(source, draft, wish, say)
    files = {"model.onnx": content, "tokenizer.json": source.tokenizer.encode()}
    draft = msgspec.structs.replace(draft, files=digests(files), version=version_of(files))
    calibration, worth = Calibration(), None
    if wish.labelled is not None:
        logits = scored(draft, files, wish.labelled.passages, say)
        calibration, worth = calibrated(logits, wish.labelled)
    manifest = msgspec.structs.replace(draft, calibration=Platt(calibration.scale, calibration.bias))
    added = Added(manifest, parity, worth)
    write_expert(folder, manifest, files, card(manifest, origin, parity, wish.labelled, worth))
    return added


def drafted(
    origin: Origin, source: Source, wish: Wish, labels: Sequence[Label], outputs: Literal["sigmoid", "softmax"]
) -> Manifest:
    """The manifest, before there are files and a calibration. ExportError if more tokens are asked for than the model
    reads.
    """
    if wish.max_tokens is not None and wish.max_tokens > source.limit:
        raise ExportError(f"the model reads at most {source.limit} tokens, not {wish.max_tokens}: lower --max-tokens")
    licence = wish.licence or origin.licence()
    max_tokens = wish.max_tokens or min(source.limit, MAX_TOKENS)
    return Manifest(
        manifest=VERSION,
        name=wish.name,
        version="draft",
        kind="classifier",
        summary=f"{origin.architecture} from {origin.path.resolve().name}, {len(labels)} labels, {wish.precision}.",
        files={},
        reads=Reads(roles=wish.roles, history=wish.history, max_tokens=max_tokens),
        calibration=Platt(1.0, 0.0),
        labels=tuple(labels),
        tokens=Tokens(pad=source.pad),
        licence=licence,
        sources=(Made(origin.path.resolve().name, licence),),
        outputs=outputs,
    )


def exported(source: Source, draft: Manifest, wish: Wish, say: Say) -> tuple[bytes, Parity]:
    """The ONNX file's content in the precision that is asked for, and how far it is from PyTorch. ExportError if that
    is too far. The source's own weights end as those that are stored.
    """
    say("tracing the model", 0, 0)
    graph = traced(source.module)
    stored = stored_weights(graph, source) if wish.precision == "int8-stored" else []
    content = halved(content_of(graph)) if wish.precision == "fp16" else content_of(graph)
    session = Session(content, "the exported model", set(NEEDED), "cpu", None, frozenset({TYPES}))
    reader = reader_of(draft, source, session)
    rows = [row for row in reader.encode(compared_passages(draft, wish)) if len(row)]

    def answers(who: str, ask: Ask) -> Logits:
        say(who, 0, len(rows))
        return in_batches(ask, reader, rows, lambda count: say(who, count, len(rows)))

    def pytorch(feeds: Feeds) -> Logits:
        return pytorch_logits(source.module, feeds)

    original = same_weights = answers("asking PyTorch", pytorch)
    if stored:
        round_weights(source.module, stored)
        same_weights = answers("asking PyTorch with rounded weights", pytorch)
    served = answers("asking ONNX Runtime", session.run)
    return content, compared(wish.precision, Outputs(draft), served, same_weights, original)


def stored_weights(graph: Any, source: Source) -> list[tuple[Matrix, int]]:
    """Store the large matrices of a graph as int8, those that PyTorch has, too: what was replaced."""
    ours = large_matrices(source.module)
    return list(store_as_int8(graph.graph, lambda weights: digest(weights) in ours).values())


def reader_of(draft: Manifest, source: Source, session: Session) -> ClassifierReader:
    """How passages are read when the expert is served."""
    reads = draft.reads
    tokenizer = open_tokenizer(source.tokenizer.encode(), None, "the tokenizer")
    return ClassifierReader(tokenizer, reads.max_tokens, reads.history, source.pad, TYPES in session.inputs)


def compared_passages(draft: Manifest, wish: Wish) -> list[Passage]:
    """What PyTorch and the export are compared on: the built-in texts, some of the user's, and of the labelled turns;
    texts also as replies, if the expert reads what they answer.
    """
    built_in = neutral(draft.reads.max_tokens)
    given = [Passage("user", text) for text in spread(wish.texts)]
    labelled = spread(wish.labelled.passages) if wish.labelled is not None else []
    replies = [Passage("assistant", text, (("user", before),)) for before, text in pairwise(built_in)]
    return [*(Passage("user", text) for text in built_in), *given, *labelled, *(replies if draft.reads.history else ())]


def spread(things: Sequence[T]) -> list[T]:
    """At most `COMPARED` of them, evenly spread."""
    return (
        [things[place] for place in np.unique(np.linspace(0, len(things) - 1, COMPARED).astype(int))] if things else []
    )


def scored(draft: Manifest, files: Mapping[str, bytes], passages: Sequence[Passage], say: Say) -> Scores:
    """The logits of unsafe as they are served, float32[N]; NaN where the expert sleeps."""
    expert = classifier(draft, files, "cpu", None)
    parts = []
    for start in range(0, len(passages), STRIDE):
        part = passages[start : start + STRIDE]
        parts.append(expert.logits(part))
        say("scoring the labelled turns", len(part), len(passages))
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def version_of(files: Mapping[str, bytes]) -> str:
    """The same for the same files."""
    return hashlib.sha256(b"".join(hashlib.sha256(files[name]).digest() for name in sorted(files))).hexdigest()[:DIGITS]
