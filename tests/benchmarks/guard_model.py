"""Guards with random weights in the shapes of real ones, written tensor by tensor: a large one is never in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from experts.guard import DATA

if TYPE_CHECKING:
    from experts.export.guard_graph import Shape
    from experts.export.guard_store import Precision

VERDICTS: Final = (11, 12)
# Random numbers, of which every weight takes a part: billions of fresh ones would take minutes.
POOL: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Plan:
    """A Llama-family model in numbers: layers, width, inner width, heads, groups of heads, vocabulary."""

    layers: int
    width: int
    inner: int
    heads: int
    groups: int
    vocabulary: int

    @property
    def size(self) -> int:
        """Of a head."""
        return self.width // self.heads

    def shape(self) -> Shape:
        """What the graph is built from."""
        from experts.export.guard_graph import Shape  # needs onnx

        frequencies = 10000.0 ** -(np.arange(0, self.size, 2) / self.size)
        return Shape(self.layers, self.heads, self.groups, self.size, 1e-5, frequencies)

    def lengths(self, name: str) -> tuple[int, ...]:
        """The shape of the weight of that name, as PyTorch has it; none for a bias, since there are none."""
        inner, keys = self.inner, self.groups * self.size
        matrices = {
            "embed_tokens": (self.vocabulary, self.width),
            "lm_head": (self.vocabulary, self.width),
            "q_proj": (self.heads * self.size, self.width),
            "k_proj": (keys, self.width),
            "v_proj": (keys, self.width),
            "o_proj": (self.width, self.heads * self.size),
            "gate_proj": (inner, self.width),
            "up_proj": (inner, self.width),
            "down_proj": (self.width, inner),
        }
        part, kind = name.split(".")[-2:]
        return () if kind == "bias" else matrices.get(part, (self.width,))

    def parameters(self) -> int:
        """How many numbers the model is made of."""
        parts = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "norm", "norm")
        layer = sum(int(np.prod(self.lengths(f"{part}.weight"))) for part in parts)
        return self.layers * layer + 2 * self.vocabulary * self.width + self.width


PLANS: Final = {
    "small": Plan(layers=4, width=512, inner=1376, heads=8, groups=8, vocabulary=32000),
    "1b": Plan(layers=16, width=2048, inner=8192, heads=32, groups=8, vocabulary=128256),
    "7b": Plan(layers=32, width=4096, inner=11008, heads=32, groups=32, vocabulary=32000),
    "8b": Plan(layers=32, width=4096, inner=14336, heads=32, groups=8, vocabulary=128256),
}


class RandomWeights:
    """Weights of a plan by name: norms of ones, matrices of normal numbers."""

    def __init__(self, plan: Plan, seed: int = 0) -> None:
        self._plan = plan
        self._pool = np.random.default_rng(seed).standard_normal(POOL, np.float32).astype(np.float16) * np.float16(0.02)
        self._taken = 0

    def __call__(self, name: str) -> npt.NDArray[Any] | None:
        lengths = self._plan.lengths(name)
        if not lengths:
            return None
        if len(lengths) == 1:
            return np.ones(lengths, np.float16)
        self._taken = (self._taken + 7919) % POOL
        return np.resize(np.roll(self._pool, self._taken), lengths)


def write_model(folder: Path, plan: Plan, precision: Precision) -> dict[str, bytes]:
    """The files of the model, which lie in `folder` and are read as the worker reads them."""
    from experts.export.guard_graph import build  # needs onnx
    from experts.export.guard_store import Store

    size: dict[Any, int] = {"fp32": 4, "fp16": 2, "int8-stored": 1}
    store = Store(folder if plan.parameters() * size[precision] > 1 << 29 else None)
    graph = build(plan.shape(), RandomWeights(plan), store, precision, VERDICTS)
    data = folder / DATA
    return {"model.onnx": graph.SerializeToString()} | ({DATA: data.read_bytes()} if data.exists() else {})
