"""Bare ONNX Runtime with ideal batches, over the graphs that the worker runs for a user's turn: the encoder, the heads
on it that read users, and `lexical`. No broker, no ensemble, no calibration. `bare.py ZOO DEVICE TEXTS`; on `cuda` the
encoder in fp16, as it runs there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from benchmarks.serving.bare import Bare
from benchmarks.serving.protocol import serve

ROLE = "user"
"""Of all turns of the benchmark: experts that do not read it sleep in the worker, too."""
CHARACTERS_PER_WORD = 8
NARROWEST = {"words": 2, "characters": 5}
"""Columns that the graph of `lexical` slices, at least."""


class BareEncoder(Bare):
    """As `Bare`, for the shipped encoder: ten times as large as MiniLM, so fewer texts tell which budget is the
    fastest."""

    tried = 48

    def __init__(self, folder: Path, session: ort.InferenceSession | None = None) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        super().__init__(folder, manifest["reads"]["max_tokens"], session)
        self._pad: int = manifest["tokens"]["pad"]

    def _features(self, ids: list[list[int]], rows: list[int]) -> Any:
        tokens, mask = self._padded([ids[row] for row in rows], self._pad)
        return self._session.run(None, {"input_ids": tokens, "attention_mask": mask})[0]

    def _run(self, ids: list[list[int]], rows: list[int], scores: list[float]) -> None:
        for row, features in zip(rows, self._features(ids, rows), strict=True):
            scores[row] = float(features[0])


class BarePanel(BareEncoder):
    """The texts of a batch go through all graphs; `lexical` counts words and characters of its own."""

    def __init__(self, zoo: Path, session: ort.InferenceSession | None = None) -> None:
        super().__init__(zoo / "encoder", session)
        manifests = {path.parent.name: json.loads(path.read_text()) for path in zoo.glob("*/manifest.json")}
        awake = {name: found for name, found in manifests.items() if ROLE in found.get("reads", {}).get("roles", ())}
        heads = [name for name, found in awake.items() if found["kind"] == "head"]
        self.experts = {*heads, "lexical"}
        self._heads = [_session(zoo / name) for name in heads]
        self._lexical = _session(zoo / "lexical")
        most = awake["lexical"]["reads"]["max_tokens"]
        self._readers = {
            "words": _reader(zoo / "lexical" / "tokenizer.json", most),
            "characters": _reader(zoo / "lexical" / "characters.json", most * CHARACTERS_PER_WORD),
        }
        self._grams: dict[str, list[list[int]]] = {}

    def _score(self, texts: list[str], budget: int) -> list[float]:
        self._grams = {
            name: [encoding.ids for encoding in reader.encode_batch_fast(texts)]
            for name, reader in self._readers.items()
        }
        return super()._score(texts, budget)

    def _run(self, ids: list[list[int]], rows: list[int], scores: list[float]) -> None:
        features = self._features(ids, rows).astype(np.float32)
        advice = [head.run(None, {"features": features})[0][:, 0] for head in self._heads]
        advice.append(self._lexical.run(None, {name: self._grams_of(name, rows) for name in self._readers})[0])
        for row, score in zip(rows, np.mean(advice, axis=0).tolist(), strict=True):
            scores[row] = score

    def _grams_of(self, name: str, rows: list[int]) -> Any:
        found, _ = self._padded([self._grams[name][row] for row in rows], 0)
        missing = NARROWEST[name] - found.shape[1]
        return np.pad(found, ((0, 0), (0, missing))) if missing > 0 else found


def _session(folder: Path) -> ort.InferenceSession:
    return ort.InferenceSession((folder / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])


def _reader(file: Path, most: int) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    return tokenizer


if __name__ == "__main__":
    folder, device = Path(sys.argv[1]), sys.argv[2]
    if device == "cuda":
        from benchmarks.gpu.sessions import BareOnGpu, models, on_gpu

        panel = BarePanel(folder, on_gpu(models(folder / "encoder")["fp16"]))
        panel.tried, panel.budgets = BareOnGpu.tried, BareOnGpu.budgets
        serve(panel)
    else:
        serve(BarePanel(folder))
