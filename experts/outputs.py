"""From a model's output columns to what is asked of an expert: the logit of unsafe, and the risks."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from experts.base import Scores
from experts.errors import ManifestError, ModelError
from experts.manifest import Manifest
from experts.taxonomy import INDEX, RISKS

UNSAFE, SAFE, NONE = "unsafe", "safe", "none"
MEANINGS: Final = (UNSAFE, SAFE, NONE, *RISKS)

Logits = npt.NDArray[np.floating[Any]]


class Outputs:
    """The columns of one manifest; the rules are those of `Manifest`."""

    def __init__(self, manifest: Manifest) -> None:
        """ManifestError if a label means something that is not known, or if nothing tells unsafe from safe."""
        means = [label.means for label in manifest.labels]
        _refuse_unknown(manifest)
        self.count = len(means)
        self.softmax = manifest.outputs == "softmax"
        self._risks = [(column, INDEX[meaning]) for column, meaning in enumerate(means) if meaning in INDEX]
        unsafe = [column for column, meaning in enumerate(means) if meaning == UNSAFE]
        risky = [column for column, _ in self._risks]
        self._unsafe = unsafe + risky if self.softmax else unsafe or risky
        self._others = [column for column in range(self.count) if column not in self._unsafe]
        if not self._unsafe or (self.softmax and not self._others):
            missing = "safe or none, besides one that is unsafe" if self._unsafe else "unsafe, or a risk"
            raise ManifestError(
                f"no label of {manifest.id} means {missing}: correct `labels` in its manifest, or export it again"
            )

    @property
    def tells_risks(self) -> bool:
        """Whether any column is a risk's."""
        return bool(self._risks)

    def columns(self, logits: Logits) -> Logits:
        """The logits as float[N, C], from float[N] of a single column too. ModelError if C is not that of the
        labels.
        """
        table = logits.reshape(len(logits), -1) if logits.ndim == 1 else logits
        if table.ndim != 2 or table.shape[1] != self.count:
            raise ModelError(
                f"the model gave shape {logits.shape}, its manifest has {self.count} labels: "
                "correct `labels`, or export it again"
            )
        return table

    def unsafe(self, columns: Logits) -> Scores:
        """The logit of unsafe, float32[N], of float[N, C]; NaN where a column that it depends on is no finite number.

        An infinite logit would pass for certainty; it is a model that overflowed.
        """
        if self.softmax:
            logit = _log_sum_exp(columns[:, self._unsafe]) - _log_sum_exp(columns[:, self._others])
            read = columns
        else:
            read = columns[:, self._unsafe]
            logit = read.max(axis=1)
        finite = np.isfinite(read).all(axis=1)
        return np.where(finite, logit, np.nan).astype(np.float32)

    def risks(self, columns: Logits) -> npt.NDArray[np.float32] | None:
        """The probability of each risk, float32[N, R], NaN of those without a column; None if there is no such column.

        Of `sigmoid` columns for one risk the largest counts; of `softmax` ones the sum of their shares.
        """
        if not self._risks:
            return None
        shares = _softmax(columns) if self.softmax else _sigmoid(columns)
        result = np.full((len(columns), len(RISKS)), np.nan, np.float32)
        for column, risk in self._risks:
            share, before = shares[:, column], result[:, risk]
            both = before + share if self.softmax else np.fmax(before, share)
            result[:, risk] = np.where(np.isnan(before), share, both)
        return result


def _refuse_unknown(manifest: Manifest) -> None:
    unknown = [label for label in manifest.labels if label.means not in MEANINGS]
    if unknown:
        named = ", ".join(f"{label.name!r} means {label.means!r}" for label in unknown[:5])
        raise ManifestError(
            f"{manifest.id} has labels whose meaning is not known ({named}): "
            f"write one of {', '.join(MEANINGS)} in its manifest, or export it again with a label map"
        )


def _sigmoid(logits: Logits) -> npt.NDArray[np.float64]:
    # Computed as a tanh, which cannot overflow.
    return 0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64)))


def _softmax(logits: Logits) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, and NaN is an abstention
        powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _log_sum_exp(logits: Logits) -> npt.NDArray[np.float64]:
    highest = logits.max(axis=1, keepdims=True).astype(np.float64)
    with np.errstate(invalid="ignore"):
        total: npt.NDArray[np.float64] = np.log(np.exp(logits - highest).sum(axis=1)) + highest[:, 0]
    return total
