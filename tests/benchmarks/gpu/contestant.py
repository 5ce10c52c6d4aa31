"""One contestant of `make gpu`, in a process of its own. `contestant.py KEY TEXTS`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.e2e.stage import ENCODER
from benchmarks.gpu.report import FIVE, OURS, PIPELINE
from benchmarks.gpu.sessions import BareOnGpu, Score, models, on_gpu, pipeline
from benchmarks.serving.protocol import serve
from experts.base import OK, Passage
from experts.executor import Panel
from experts.registry import load_experts, names

LEXICAL = "lexical"
HISTORY = "replies"
"""Reads replies only, and every text is a user's."""


def panel(chosen: Sequence[str]) -> Panel:
    """The shipped experts of these names on the GPU, warm."""
    found = Panel(load_experts(chosen=chosen, device="cuda"))
    found.warm_up()
    return found


def asked(panel: Panel) -> Score:
    """A panel as a contestant. RuntimeError if an expert that is awake does not answer."""
    awake = [place for place, name in enumerate(panel.ids) if not name.startswith(f"{HISTORY}@")]

    def score(texts: list[str]) -> Sequence[float]:
        advice = panel.advise([Passage("user", text) for text in texts])
        if not (advice.status[:, awake] == OK).all():
            raise RuntimeError("an expert did not answer: the benchmark would mean nothing")
        found: list[float] = advice.scores[:, awake[0]].tolist()
        return found

    return score


def contestant(key: str) -> Score:
    """What scores texts under this key."""
    if key == PIPELINE:
        return pipeline(ENCODER)
    if key in (FIVE, OURS):
        return asked(panel([name for name in names() if key == OURS or name != LEXICAL]))
    precision = key.removeprefix("bare ")
    return BareOnGpu(ENCODER, on_gpu(models(ENCODER)[precision]))


if __name__ == "__main__":
    serve(contestant(sys.argv[1]))
