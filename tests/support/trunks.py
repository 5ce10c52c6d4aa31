"""Experts on a trunk without ONNX: what it reads and runs can be watched, held up, and made to fail."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from experts.base import Passage
from experts.manifest import Label, Manifest, Platt, Reads, Tokens
from experts.served import FEATURES, OnnxExpert
from experts.session import Session
from experts.trunk import Trunk

PATIENCE = 30.0
"""Seconds that a test waits for what must happen; far above any real wait."""
WIDTH = 3
ROLES = ("user", "assistant", "system")


def feature(text: str) -> float:
    """What the trunk makes of a text, in [-2, 2), the same everywhere."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) / 2**30 - 2.0


@dataclass
class WatchedReader:
    """A passage is its words; one that is `unreadable` raises."""

    read: list[str] = field(default_factory=list)
    unreadable: Callable[[Passage], bool] = lambda passage: False

    def encode(self, passages: Sequence[Passage]) -> list[list[str]]:
        if any(map(self.unreadable, passages)):
            raise RuntimeError("this passage cannot be read")
        self.read += [passage.text for passage in passages]
        return [passage.text.split() for passage in passages]

    def feeds(self, rows: Sequence[list[str]]) -> Mapping[str, npt.NDArray[Any]]:
        return {"texts": np.array([" ".join(row) for row in rows], object)}


@dataclass
class WatchedSession:
    """Gives each text's feature in every column, and what `spoil` makes of it. `gate` holds every run up while it is
    not set; `entered` is set when one is under way."""

    width: int = WIDTH
    device: str = "cpu"
    batches: list[list[str]] = field(default_factory=list)
    spoil: Callable[[str], float] = feature
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        texts = [str(text) for text in feeds["texts"]]
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        self.batches.append(texts)
        return np.array([[self.spoil(text)] * self.width for text in texts], np.float32)

    @property
    def texts(self) -> list[str]:
        """Every text that was run, as often as it was."""
        return [text for batch in self.batches for text in batch]


@dataclass
class WatchedHead:
    """Logits float[N, C]: the feature times each weight."""

    weights: tuple[float, ...] = (1.0,)
    calls: int = 0
    rows: int = 0
    poison: float | None = None

    @property
    def width(self) -> int:
        return len(self.weights)

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        features = feeds[FEATURES]
        self.calls += 1
        if self.poison is not None and bool((features[:, 0] == np.float32(self.poison)).any()):
            raise RuntimeError("this head fails on purpose")
        self.rows += len(features)
        return np.asarray(features[:, :1] * np.array(self.weights, np.float32), np.float32)


def manifest(name: str, means: Sequence[str] = ("unsafe",), roles: Sequence[str] = ROLES, **changes: Any) -> Manifest:
    """A manifest whose labels are named by what they mean."""
    values: dict[str, Any] = {
        "manifest": 2,
        "name": name,
        "version": "1",
        "kind": "head",
        "summary": "",
        "files": {},
        "reads": Reads(tuple(roles), False, 16),
        "calibration": Platt(1.0, 0.0),
        "labels": tuple(Label(meaning, meaning) for meaning in means),
        "tokens": Tokens(),
        "licence": "Apache-2.0",
        "sources": (),
    }
    return Manifest(**values | changes)


class Stand:
    """A trunk whose parts are at hand, and heads to put on it."""

    def __init__(self, budget: int = 8, roles: Sequence[str] = ROLES, linger: float = 0.0) -> None:
        self.reader, self.session = WatchedReader(), WatchedSession()
        self.trunk: Trunk[list[str]] = Trunk("trunk@1", roles, self.reader, cast(Session, self.session), budget, linger)

    def head(
        self,
        name: str,
        head: WatchedHead | None = None,
        means: Sequence[str] = ("unsafe",),
        roles: Sequence[str] = ROLES,
    ) -> OnnxExpert[list[str]]:
        return OnnxExpert(manifest(name, means, roles), self.trunk, cast(Session, head or WatchedHead()))


def users(*texts: str) -> list[Passage]:
    return [Passage("user", text) for text in texts]


def wait_until(condition: Callable[[], bool]) -> None:
    """Returns once the condition is true; fails when it is not in time."""
    deadline = threading.Event()
    timer = threading.Timer(PATIENCE, deadline.set)
    timer.start()
    try:
        while not condition():
            assert not deadline.wait(0.005), "the condition did not come true in time"
    finally:
        timer.cancel()
