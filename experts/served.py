"""An expert made of a manifest and ONNX models: a trunk that reads passages, and for some a head of its own on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic

import numpy as np
import numpy.typing as npt

from experts.base import Opinion, Passage, Scores
from experts.errors import ModelError
from experts.manifest import Manifest
from experts.outputs import Outputs
from experts.session import Session
from experts.taxonomy import RISKS
from experts.trunk import Encoded, Reader, Row, Trunk

__all__ = ["FEATURES", "Encoded", "OnnxExpert", "Reader", "Row"]

FEATURES: Final = "features"


class OnnxExpert(Generic[Row]):
    """Serves one folder. It abstains on turns of a role that it does not read, and on those with nothing to read.

    `advise`, `opine` and `logits` run everything in the caller's thread; a `Panel` runs the trunk itself, once for all
    its heads, and asks `conclude`.
    """

    def __init__(self, manifest: Manifest, trunk: Trunk[Row], head: Session | None = None) -> None:
        """`head` maps the trunk's features float32[N, D] to logits; without one the trunk's output is the logits.

        ManifestError or ModelError if the labels do not fit the model.
        """
        self.manifest = manifest
        self.trunk = trunk
        self._head = head
        self._outputs = Outputs(manifest)
        self._calibration = manifest.calibrate()
        self._roles = trunk.roles & frozenset(manifest.reads.roles)
        width = (head or trunk.session).width
        if width not in (None, self._outputs.count):
            raise ModelError(
                f"the model of {manifest.id} has {width} outputs, its manifest {self._outputs.count} labels: "
                "correct `labels`, or export it again"
            )

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def session(self) -> Session:
        """The session of the model that costs the time."""
        return self.trunk.session

    @property
    def tells_risks(self) -> bool:
        """Whether `opine` says anything of risks."""
        return self._outputs.tells_risks

    @property
    def may_abstain(self) -> bool:
        """Whether NaN is an answer: a guard gives it where it would rather have said something else than a verdict."""
        return self.manifest.kind == "guard"

    def wakes(self, role: str) -> bool:
        """Whether it is awake on turns of this role."""
        return role in self._roles

    def advise(self, passages: Sequence[Passage]) -> Scores:
        """As `experts.base.Expert` says."""
        return self.opine(passages).scores

    def opine(self, passages: Sequence[Passage]) -> Opinion:
        """Scores and, from an expert that tells them apart, risks."""
        read, columns = self._columns(passages)
        said = self._conclude(columns)
        scores = np.full(len(passages), np.nan, np.float32)
        scores[read] = said.scores
        if said.risks is None:
            return Opinion(scores)
        risks = np.full((len(passages), len(RISKS)), np.nan, np.float32)
        risks[read] = said.risks
        return Opinion(scores, risks)

    def logits(self, passages: Sequence[Passage]) -> Scores:
        """The logit of unsafe before calibration, float32[N]; NaN where the expert abstains."""
        read, columns = self._columns(passages)
        result = np.full(len(passages), np.nan, np.float32)
        result[read] = self._outputs.unsafe(columns)
        return result

    def unsafe_logits(self, features: npt.NDArray[np.float32]) -> Scores:
        """The logit of unsafe before calibration, float32[N], on N rows of the trunk's output."""
        return self._outputs.unsafe(self._read_on(features))

    def conclude(self, features: npt.NDArray[np.float32]) -> Opinion:
        """The opinion on N rows of the trunk's output; NaN where the model gave no finite number."""
        return self._conclude(self._read_on(features))

    def _columns(self, passages: Sequence[Passage]) -> tuple[list[int], npt.NDArray[np.floating]]:
        """The passages read, and the logits of each."""
        awake = [index for index, passage in enumerate(passages) if self.wakes(passage.role)]
        rows = self.trunk.encode([passages[index] for index in awake]) if awake else []
        kept = [(index, row) for index, row in zip(awake, rows, strict=True) if len(row)]
        if not kept:
            return [], np.empty((0, self._outputs.count), np.float32)
        features = self.trunk.run_all([row for _, row in kept])
        return [index for index, _ in kept], self._read_on(features)

    def _read_on(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        logits = features if self._head is None else self._head.run({FEATURES: features})
        return self._outputs.columns(logits)

    def _conclude(self, columns: npt.NDArray[np.floating]) -> Opinion:
        scores = self._calibration.probabilities(self._outputs.unsafe(columns))
        risks = self._outputs.risks(columns)
        if risks is not None:
            risks[np.isnan(scores)] = np.nan
        return Opinion(scores, risks)
