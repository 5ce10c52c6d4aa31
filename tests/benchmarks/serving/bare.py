"""Bare ONNX Runtime with ideal batches: all texts sorted by length, padded to the longest of their batch, in batches of
whichever token budget is fastest here. `bare.py EXPERT TEXTS`."""

import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Tokenizer

from benchmarks.serving.protocol import serve

MAX_TOKENS = 128
BUDGETS = (128, 256, 512, 1024, 2048)
TRIED = 200
"""Texts on which the budgets are compared, before the rounds."""


class Bare:
    tried = TRIED
    budgets: tuple[int, ...] = BUDGETS

    def __init__(self, folder: Path, max_tokens: int = MAX_TOKENS, session: ort.InferenceSession | None = None) -> None:
        """`session` None opens the folder's model on the CPU."""
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._session = session or ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        self._budget = 0

    def __call__(self, texts: list[str]) -> list[float]:
        self._budget = self._budget or self._fastest(texts[: self.tried])
        return self._score(texts, self._budget)

    def _fastest(self, texts: list[str]) -> int:
        return min(self.budgets, key=lambda budget: min(self._seconds(texts, budget) for _ in range(2)))

    def _seconds(self, texts: list[str], budget: int) -> float:
        began = time.perf_counter()
        self._score(texts, budget)
        return time.perf_counter() - began

    def _score(self, texts: list[str], budget: int) -> list[float]:
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
        scores, start = [0.0] * len(ids), 0
        while start < len(order):
            stop = start + 1
            while stop < len(order) and (stop + 1 - start) * len(ids[order[stop]]) <= budget:
                stop += 1
            self._run(ids, order[start:stop], scores)
            start = stop
        return scores

    def _run(self, ids: list[list[int]], rows: list[int], scores: list[float]) -> None:
        tokens, mask = self._padded([ids[row] for row in rows], 0)
        feeds = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
        logits = self._session.run(None, feeds)[0]
        for row, safe, unsafe in zip(rows, logits[:, 0], logits[:, 1], strict=True):
            scores[row] = 1 / (1 + np.exp(safe - unsafe))

    @staticmethod
    def _padded(ids: list[list[int]], pad: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Tokens and mask of a batch, as wide as its longest."""
        lengths = np.array([len(row) for row in ids])
        tokens = np.full((len(ids), int(lengths.max())), pad, np.int64)
        for place, row in enumerate(ids):
            tokens[place, : len(row)] = row
        return tokens, (np.arange(tokens.shape[1]) < lengths[:, None]).astype(np.int64)


if __name__ == "__main__":
    serve(Bare(Path(sys.argv[1])))
