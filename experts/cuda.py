"""What a GPU needs beyond a session: the model in half precision, and buffers that its copies can be made from."""

from __future__ import annotations

import ctypes
import importlib.util
import weakref
from contextlib import redirect_stdout, suppress
from functools import cache
from io import StringIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

# The staging buffers start with room for one full batch of 16,384 tokens and double where that is too little.
STAGED: Final = 16384
# Those of the CUDA versions that onnxruntime-gpu is built for.
CUDA_RUNTIMES: Final = ("libcudart.so.13", "libcudart.so.12")
DRIVER: Final = "libcuda.so.1"


@cache
def load_libraries() -> None:
    """Load CUDA's libraries where pip installed them, in folders that the system's loader does not search. Nothing
    happens without a driver, or where the system has them.
    """
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        return
    # It prints what it does not find; whoever asks a session where it runs says that better.
    with redirect_stdout(StringIO()):
        ort.preload_dlls()


def to_half(model: bytes) -> tuple[bytes | None, str | None]:
    """The model with fp16 weights and arithmetic, its inputs and outputs as they were; or None and why it stays fp32.

    A GPU computes fp16 at twice to eight times the rate of fp32; probabilities move by less than 5e-3.
    """
    if importlib.util.find_spec("onnx") is None:
        return None, "it computes in fp32 on the GPU, since the package onnx, which makes it fp16, is not installed"
    from experts.export.halves import halved  # needs onnx, which the worker does not

    return halved(model), None


class Staging:
    """Host memory that the GPU copies from, one buffer an input, made anew only to grow; pinned where the CUDA runtime
    can be found, since pages that may move are copied through a buffer of the driver's first.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, npt.NDArray[Any]] = {}

    def stage(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy of the values in this input's buffer, valid until the next call with this name."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.dtype != values.dtype or buffer.size < values.size:
            size = STAGED
            while size < values.size:
                size *= 2
            buffer = self._buffers[name] = np.empty(size, values.dtype)
            pin(buffer)
        staged = buffer[: values.size].reshape(values.shape)
        np.copyto(staged, values)
        return staged


def pin(buffer: npt.NDArray[Any], runtime: Any = None) -> bool:
    """Pin the buffer's pages until it is gone; False where that cannot be done, which makes copies slower and no less
    right. `runtime` is the CUDA runtime library, None to look for it.
    """
    library = runtime or _cuda_runtime()
    address = ctypes.c_void_p(buffer.ctypes.data)
    if library is None or library.cudaHostRegister(address, ctypes.c_size_t(buffer.nbytes), ctypes.c_uint(0)) != 0:
        return False
    weakref.finalize(buffer, library.cudaHostUnregister, address)
    return True


def _cuda_runtime() -> Any:
    """The CUDA runtime that ONNX Runtime has loaded already."""
    for name in CUDA_RUNTIMES:
        with suppress(OSError):
            return ctypes.CDLL(name)
    return None


class Binding:
    """Runs a session on the GPU with inputs and output bound, so that nothing is allocated or copied twice."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._output = session.get_outputs()[0].name
        self._staging = Staging()

    def run(self, outputs: None, feeds: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """As `InferenceSession.run`; one thread at a time."""
        binding = self._session.io_binding()
        for name, values in feeds.items():
            binding.bind_cpu_input(name, self._staging.stage(name, values))
        binding.bind_output(self._output)
        self._session.run_with_iobinding(binding)
        found: list[npt.NDArray[Any]] = binding.copy_outputs_to_cpu()
        return found
