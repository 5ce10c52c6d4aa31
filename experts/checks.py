"""Checks an expert on disk from end to end: its files, its tokenizer, and what it says of neutral texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from experts.base import Passage, Scores
from experts.classifier import encoder
from experts.errors import ModelError
from experts.manifest import Manifest, read_files, read_manifest
from experts.progress import Say, silent
from experts.registry import load_expert
from experts.served import OnnxExpert
from experts.session import Device
from experts.texts import neutral
from experts.trunk import Trunk

# The most that a score may depend on the texts beside it: sums in another order, in fp32.
TOLERANCE: Final = 1e-5
# Texts scored one by one, the longest among them: on two cores a second of a small model.
ALONE: Final = 24


def check(folder: Path, device: Device = "cpu", say: Say = silent) -> Iterator[str]:
    """Yields a line for each thing found good. ManifestError or ModelError, in one line, at the first that is not."""
    manifest = read_manifest(folder)
    files = read_files(folder, manifest)
    yield f"{len(files)} files have the sha256 that the manifest says"
    if manifest.kind == "backbone":
        trunk: Trunk[Any] = encoder(manifest, files, device, None)
        yield f"the model loads on {trunk.session.device} and has an embedding for every id of the tokenizer"
        return
    expert = load_expert(folder, device)
    yield f"the model loads on {expert.session.device} and gives its {len(manifest.labels)} labels"
    passages = neutral_passages(manifest)
    yield answers(expert, passages, say)
    yield alone_and_together(expert, passages, say)


def neutral_passages(manifest: Manifest, given: Sequence[str] = ()) -> list[Passage]:
    """Neutral texts, or those given, as turns that the expert reads; each with the one before it as its history."""
    texts, role = given or neutral(manifest.reads.max_tokens), manifest.reads.roles[0]
    before: tuple[tuple[str, str], ...] = ()
    passages = []
    for text in texts:
        passages.append(Passage(role, text, before))
        before = (("user", text),)
    return passages


def answers(expert: OnnxExpert[Any], passages: Sequence[Passage], say: Say) -> str:
    """A line with the number of answers. ModelError if one is missing that is not a guard's to refuse."""
    scores = scored(expert, passages, "scoring neutral texts", say)
    silent = int(np.isnan(scores).sum())
    if silent and expert.manifest.kind != "guard":
        raise ModelError(
            f"{expert.id} gives NaN or infinity on {silent} of {len(scores)} neutral texts: its weights are damaged, "
            "or its precision is too low; export it again"
        )
    if silent == len(scores):
        raise ModelError(f"{expert.id} gives no verdict on any of {silent} neutral texts: it is no guard; remove it")
    return f"it answers on {len(scores) - silent} of {len(scores)} neutral texts, the longest over its limit"


def alone_and_together(expert: OnnxExpert[Any], passages: Sequence[Passage], say: Say) -> str:
    """A line with the largest difference. ModelError if a score depends on the texts beside it, or on their order."""
    places = np.unique(np.linspace(0, len(passages) - 1, ALONE).astype(int))
    chosen = [passages[place] for place in places]
    together = expert.advise(chosen)
    turned = expert.advise(chosen[::-1])[::-1]
    parts = []
    for passage in chosen:
        parts.append(expert.advise([passage]))
        say("scoring texts one by one", 1, len(chosen))
    most = float(np.nanmax(np.abs(np.stack([turned, np.concatenate(parts)]) - together), initial=0.0))
    if most > TOLERANCE or (np.isnan(together) != np.isnan(turned)).any():
        raise ModelError(
            f"{expert.id} gives a text another score (by {most:.1e}, allowed {TOLERANCE:.0e}) when other texts stand "
            "beside it: verdicts would not be reproducible; export it with --precision fp32 or int8-stored"
        )
    return f"a text has the same score alone, in a batch and in any order (to {most:.0e})"


def scored(expert: OnnxExpert[Any], passages: Sequence[Passage], what: str, say: Say, stride: int = 8) -> Scores:
    """The scores of all passages, float32[N], with progress."""
    parts = []
    for start in range(0, len(passages), stride):
        part = passages[start : start + stride]
        parts.append(expert.advise(part))
        say(what, len(part), len(passages))
    return np.concatenate(parts)
