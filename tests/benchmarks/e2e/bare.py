"""Bare ONNX Runtime with ideal batches: the encoder that the shipped experts share, and nothing else: no heads, no
`lexical`, no broker. `bare.py FOLDER DEVICE TEXTS`; on `cuda` in fp16, as the experts run there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnxruntime as ort

from benchmarks.serving.bare import Bare
from benchmarks.serving.protocol import serve


class BareEncoder(Bare):
    """As `Bare`, for a model that gives features in place of logits. It is ten times as large, so fewer texts tell."""

    tried = 48

    def __init__(self, folder: Path, session: ort.InferenceSession | None = None) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        super().__init__(folder, manifest["reads"]["max_tokens"], session)
        self._pad: int = manifest["tokens"]["pad"]

    def _run(self, ids: list[list[int]], rows: list[int], scores: list[float]) -> None:
        tokens, mask = self._padded([ids[row] for row in rows], self._pad)
        features = self._session.run(None, {"input_ids": tokens, "attention_mask": mask})[0]
        for row, first in zip(rows, features[:, 0].tolist(), strict=True):
            scores[row] = first


if __name__ == "__main__":
    folder, device = Path(sys.argv[1]), sys.argv[2]
    if device == "cuda":
        from benchmarks.gpu.sessions import BareOnGpu, models, on_gpu

        serve(BareOnGpu(folder, on_gpu(models(folder)["fp16"])))
    else:
        serve(BareEncoder(folder))
