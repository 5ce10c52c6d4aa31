"""What is asked of an export, before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experts.base import Passage
from experts.export.parity import Precision


@dataclass(frozen=True, slots=True)
class Labelled:
    """N turns that people have labelled: `unsafe` bool[N], and the name of where they are from, for the card."""

    name: str
    passages: Sequence[Passage]
    unsafe: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Wish:
    """How an expert is to be made. `labels` is the file of the label map, None to go by the names; `max_tokens` and
    `licence` None: as the model says; `texts` are compared with PyTorch besides the built-in ones.
    """

    name: str
    precision: Precision = "int8-stored"
    roles: tuple[str, ...] = ("user", "assistant", "system")
    history: bool = False
    max_tokens: int | None = None
    licence: str | None = None
    labels: Path | None = None
    texts: Sequence[str] = ()
    labelled: Labelled | None = None
