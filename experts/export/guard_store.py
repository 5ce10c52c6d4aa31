"""Keeps a guard's weights while its graph is made: in the ONNX file, or, of a large model, in a file beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from experts.guard import DATA

Precision = Literal["fp32", "fp16", "int8-stored"]
# What training says of adapters, beside them.
TRAINED: Final = "training.json"
# A protobuf file ends at 2 GiB, and one of more than some hundred megabytes is slow to read.
LARGEST_INLINE: Final = 1 << 29
# A page, so that the file can be mapped.
ALIGNMENT: Final = 4096


class Store:
    """Takes tensors in the order in which the graph names them; `initializers` are what the graph needs of them.

    With a `folder`, tensors of over a kilobyte are appended to `DATA` there as they come, so that a model is never in
    memory twice; `digest` is then the sha256 of that file.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.initializers: list[Any] = []
        self._sha256 = hashlib.sha256()
        self._length = 0
        self._file: IO[bytes] | None = None if folder is None else (folder / DATA).open("wb")

    @property
    def digest(self) -> str | None:
        """The sha256 of the data file, if there is one."""
        return None if self._file is None else self._sha256.hexdigest()

    def add(self, name: str, values: npt.NDArray[Any]) -> str:
        """Keep a tensor; its name."""
        if self._file is None or values.nbytes <= 1024:
            self.initializers.append(numpy_helper.from_array(values, name))
            return name
        self._append(b"\0" * (-self._length % ALIGNMENT))
        tensor = TensorProto(name=name, dims=values.shape, data_location=TensorProto.EXTERNAL)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
        for key, value in (("location", DATA), ("offset", self._length), ("length", values.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        self.initializers.append(tensor)
        self._append(np.ascontiguousarray(values).data.cast("B"))
        return name

    def close(self) -> None:
        """Nothing is added after this."""
        if self._file is not None:
            self._file.close()

    def _append(self, content: bytes | memoryview) -> None:
        assert self._file is not None
        self._file.write(content)
        self._sha256.update(content)
        self._length += len(content)
