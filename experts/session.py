"""An ONNX model on a device that is really there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from experts.base import Scores
from experts.errors import DeviceError, ModelError

Device = Literal["auto", "cpu", "cuda"]
DEVICES: Final[tuple[Device, ...]] = ("auto", "cpu", "cuda")
CUDA: Final = "CUDAExecutionProvider"
CPU: Final = "CPUExecutionProvider"
# ONNX Runtime's own scale. Its pages about a missing CUDA library are said better, in a line, by `Session.fallback`.
WARNING: Final = 2
FATAL: Final = 4


def cores() -> int:
    """How many cores this process may use; more threads than that make a model two to three times slower."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Session:
    """A loaded model with one output: a logit a row.

    `device` is where it really runs; `fallback` says why that is not the GPU although `auto` looked for one, else it
    is None.
    """

    def __init__(
        self, model: bytes, what: str, inputs: set[str], device: Device = "auto", threads: int | None = None
    ) -> None:
        """`what` names the model in errors. DeviceError if `cuda` is not there, ModelError if the model is not as
        expected.
        """
        self._session = self._open(model, what, device, threads)
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        self.device: Literal["cpu", "cuda"] = "cuda" if CUDA in self.providers else "cpu"
        if device == "cuda" and self.device == "cpu":
            raise DeviceError(
                f"{what} was to run on cuda, but ONNX Runtime cannot use a GPU here: "
                "install the NVIDIA driver and CUDA libraries, or set the device to auto or cpu"
            )
        self.fallback = "ONNX Runtime cannot use a GPU here" if device == "auto" and self.device == "cpu" else None
        self.inputs = frozenset(value.name for value in self._session.get_inputs())
        if self.inputs != inputs or len(self._session.get_outputs()) != 1:
            raise ModelError(
                f"{what} has the inputs {sorted(self.inputs)} and {len(self._session.get_outputs())} outputs, "
                f"its kind needs {sorted(inputs)} and 1: export it again, or correct `kind` in its manifest"
            )

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Scores:
        """The logits, float32[N]. ModelError if the output has another shape."""
        count = len(next(iter(feeds.values())))
        logits = np.asarray(self._session.run(None, dict(feeds))[0], np.float32)
        if logits.size != count:
            raise ModelError(f"the model gave shape {logits.shape} for {count} rows, not one logit a row")
        return logits.reshape(count)

    @staticmethod
    def _open(model: bytes, what: str, device: Device, threads: int | None) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL
        # Weights are stored as int8 with a scale a row, and computed with as fp32: this folds them once, at load.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        # Threads that spin between two runs take the cores from the event loop beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        wanted = [CUDA, CPU] if device != "cpu" and CUDA in ort.get_available_providers() else [CPU]
        ort.set_default_logger_severity(FATAL)
        try:
            return ort.InferenceSession(model, options, providers=wanted)
        except Exception as error:  # the library's exceptions have no common base
            reason = str(error).splitlines()[0]
            raise ModelError(f"{what} cannot be loaded ({reason}): export it again") from error
        finally:
            ort.set_default_logger_severity(WARNING)
