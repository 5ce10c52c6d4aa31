"""An expert made of a manifest, a way to read passages, and an ONNX model. The kinds differ in the reading only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from experts.base import Passage, Scores
from experts.batching import plan
from experts.manifest import Manifest
from experts.session import Session


class Encoded(Protocol):
    """A passage as numbers; its length is what padding in a batch costs. No length: there is nothing to read."""

    def __len__(self) -> int: ...


Row = TypeVar("Row", bound=Encoded)


class Reader(Protocol[Row]):
    """How a kind of expert turns passages into the model's inputs."""

    def encode(self, passages: Sequence[Passage]) -> list[Row]:
        """One row a passage."""
        ...

    def feeds(self, rows: Sequence[Row]) -> Mapping[str, npt.NDArray[Any]]:
        """The model's inputs for a batch of rows, padded to its longest."""
        ...


class OnnxExpert(Generic[Row]):
    """Serves one folder. It abstains on turns of a role that it does not read, and on those with nothing to read."""

    def __init__(self, manifest: Manifest, reader: Reader[Row], session: Session, budget: int) -> None:
        """`budget` is in padded lengths a batch, as the reader counts them."""
        self.manifest = manifest
        self.session = session
        self._reader = reader
        self._budget = budget
        self._calibration = manifest.calibrate()

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def id(self) -> str:
        return self.manifest.id

    def advise(self, passages: Sequence[Passage]) -> Scores:
        """As `experts.base.Expert` says."""
        return self._calibration.probabilities(self.logits(passages))

    def logits(self, passages: Sequence[Passage]) -> Scores:
        """The model's own output before calibration, float32[N]; NaN where the expert abstains."""
        result = np.full(len(passages), np.nan, np.float32)
        read = [index for index, passage in enumerate(passages) if passage.role in self.manifest.reads.roles]
        rows = self._reader.encode([passages[index] for index in read])
        kept = [(index, row) for index, row in zip(read, rows, strict=True) if len(row)]
        for batch in plan([len(row) for _, row in kept], self._budget):
            indices = [kept[position][0] for position in batch]
            result[indices] = self.session.run(self._reader.feeds([kept[position][1] for position in batch]))
        return result
