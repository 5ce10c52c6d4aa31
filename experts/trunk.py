"""What is run once for a group of experts: passages made numbers, and one model over batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from experts.base import Passage
from experts.batching import plan
from experts.session import Session

# Seconds that a batch on a GPU waits to be filled: a half-empty batch takes as long as a full one there, and two
# milliseconds are lost in what Kafka takes. On a CPU time goes by tokens, so waiting gains nothing.
LINGER_ON_CUDA: Final = 0.002


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


class Trunk(Generic[Row]):
    """A reader and a model whose output, float32[N, D], one expert calibrates or the heads of several read on."""

    def __init__(
        self, name: str, roles: Sequence[str], reader: Reader[Row], session: Session, budget: int, linger: float = 0.0
    ) -> None:
        """`roles` are those of the turns that it reads, `budget` is in padded lengths a batch as the reader counts
        them, `linger` in seconds.
        """
        self.name = name
        self.roles = frozenset(roles)
        self.session = session
        self.budget = budget
        self.linger = linger
        self._reader = reader

    def encode(self, passages: Sequence[Passage]) -> list[Row]:
        """One row a passage; empty where there is nothing to read."""
        return self._reader.encode(passages)

    def feeds(self, rows: Sequence[Row]) -> Mapping[str, npt.NDArray[Any]]:
        """The model's inputs for one batch."""
        return self._reader.feeds(rows)

    def run(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """The model's output for one batch, float32[N, D] or float32[N]."""
        return self.session.run(self.feeds(rows))

    def run_all(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """The same for any number of rows, but at least one, in batches of about one length."""
        batches = plan([len(row) for row in rows], self.budget)
        parts = [self.run([rows[index] for index in batch]) for batch in batches]
        return np.concatenate(parts)[np.argsort(np.concatenate(batches))]
