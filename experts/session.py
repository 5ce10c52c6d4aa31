"""An ONNX model on a device that is really there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from experts.cuda import Binding, load_libraries, to_half
from experts.errors import DeviceError, ModelError

Device = Literal["auto", "cpu", "cuda"]
DEVICES: Final[tuple[Device, ...]] = ("auto", "cpu", "cuda")
CUDA: Final = "CUDAExecutionProvider"
CPU: Final = "CPUExecutionProvider"
NO_GPU: Final = "ONNX Runtime cannot use a GPU here"
# ONNX Runtime's own scale. Its pages about a missing CUDA library are said better, in a line, by `Session.fallback`.
WARNING: Final = 2
FATAL: Final = 4


class Runner(Protocol):
    """What runs a model once: the ONNX session itself, or the buffers of a GPU around it."""

    def run(self, outputs: None, feeds: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]: ...


def cores() -> int:
    """How many cores this process may use; more threads than that make a model two to three times slower."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Session:
    """A loaded model with one output, whose first axis is the rows.

    `device` is where it really runs; `fallback` says why that is not the GPU although `auto` looked for one, or why it
    computes there in fp32, else it is None.
    """

    def __init__(
        self,
        model: bytes,
        what: str,
        inputs: set[str],
        device: Device = "auto",
        threads: int | None = None,
        optional: frozenset[str] = frozenset(),
    ) -> None:
        """`what` names the model in errors; `optional` inputs are those that a model of its kind may lack.

        On a GPU it computes in fp16. DeviceError if `cuda` is not there, ModelError if the model is not as expected.
        """
        self._attach(open_session(model, what, device, threads), what, device)
        self._refuse_other_kind(what, inputs, optional)
        self._runner: Runner = self._session
        if self.device == "cuda":
            self._use_gpu(model, what, device, threads)

    def _attach(self, session: ort.InferenceSession, what: str, device: Device) -> None:
        """Say where a session runs. DeviceError if that is not where it was to."""
        self._session = session
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        self.device: Literal["cpu", "cuda"] = "cuda" if CUDA in self.providers else "cpu"
        if device == "cuda" and self.device == "cpu":
            raise DeviceError(
                f"{what} was to run on cuda, but {NO_GPU}: "
                "install the NVIDIA driver and CUDA libraries, or set the device to auto or cpu"
            )
        self.fallback = NO_GPU if device == "auto" and self.device == "cpu" else None
        self.inputs = frozenset(value.name for value in session.get_inputs())

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """The output, float32[N, ...]. ModelError if it has not one row for each row of the feeds."""
        count = len(next(iter(feeds.values())))
        output = np.asarray(self._runner.run(None, dict(feeds))[0], np.float32)
        if output.ndim == 0 or len(output) != count:
            raise ModelError(f"the model gave shape {output.shape} for {count} rows: export it again")
        return output

    @property
    def width(self) -> int | None:
        """The columns of the output: 1 if it has no second axis, None if the model does not say."""
        return _columns(self._session.get_outputs()[0].shape)

    @property
    def takes(self) -> int | None:
        """The columns of the first input, likewise."""
        return _columns(self._session.get_inputs()[0].shape)

    def _refuse_other_kind(self, what: str, inputs: set[str], optional: frozenset[str]) -> None:
        outputs = len(self._session.get_outputs())
        if not inputs <= self.inputs <= inputs | optional or outputs != 1:
            more = f", may have {sorted(optional)}" if optional else ""
            raise ModelError(
                f"{what} has the inputs {sorted(self.inputs)} and {outputs} outputs, its kind needs "
                f"{sorted(inputs)}{more} and 1: export it again, or correct `kind` in its manifest"
            )

    def _use_gpu(self, model: bytes, what: str, device: Device, threads: int | None) -> None:
        halved, self.fallback = to_half(model)
        if halved is not None:
            self._session = open_session(halved, what, device, threads)
        self._runner = Binding(self._session)


def _columns(shape: list[Any]) -> int | None:
    columns = shape[1] if len(shape) == 2 else 1 if len(shape) == 1 else None
    return columns if isinstance(columns, int) else None


def open_session(
    model: bytes,
    what: str,
    device: Device = "auto",
    threads: int | None = None,
    external: Mapping[str, bytes] | None = None,
) -> ort.InferenceSession:
    """A session, on the GPU if the device allows it and one is there; `external` are the files beside the model that it
    names, by name. ModelError, naming `what`, if it does not load.
    """
    options = ort.SessionOptions()
    if external:
        names, contents = list(external), list(external.values())
        options.add_external_initializers_from_files_in_memory(names, contents, [len(each) for each in contents])
    options.intra_op_num_threads = threads or cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    # Weights are stored as int8 with a scale a row, and computed with as fp32: this folds them once, at load.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    # Threads that spin between two runs take the cores from the event loop beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = [CUDA, CPU] if device != "cpu" and CUDA in ort.get_available_providers() else [CPU]
    if CUDA in wanted:
        load_libraries()
    ort.set_default_logger_severity(FATAL)
    try:
        return ort.InferenceSession(model, options, providers=wanted)
    except Exception as error:  # the library's exceptions have no common base
        reason = str(error).splitlines()[0]
        raise ModelError(f"{what} cannot be loaded ({reason}): export it again") from error
    finally:
        ort.set_default_logger_severity(WARNING)
