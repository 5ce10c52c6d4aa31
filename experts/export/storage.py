"""Stores the weights of an ONNX graph as int8, with a scale a row, to be computed with as fp32. Needs onnx.

Only weights are rounded; what flows between the layers stays fp32. So a score does not depend on the other texts of its
batch, which it does with dynamic int8 (by up to 0.11).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import helper, numpy_helper

Matrix = npt.NDArray[np.float32]

# Smaller tensors (biases, norms) are not worth rounding.
LEAST: Final = 1024
# DequantizeLinear with a scale for each row came with this version of the operators.
LEAST_OPSET: Final = 13


def rounded(weights: Matrix, axis: int) -> tuple[npt.NDArray[np.int8], Matrix]:
    """A matrix as int8, with a scale for each index of `axis`: symmetric, to the nearest."""
    scales = (np.abs(weights).max(axis=1 - axis) / 127).astype(np.float32)
    scales[scales == 0] = 1.0
    return np.round(weights / np.expand_dims(scales, 1 - axis)).astype(np.int8), scales


def as_stored(weights: Matrix, axis: int) -> Matrix:
    """A matrix after it was rounded and read again."""
    small, scales = rounded(weights, axis)
    return small.astype(np.float32) * np.expand_dims(scales, 1 - axis)


def store_as_int8(graph: Any, chosen: Callable[[Matrix], bool] = lambda weights: True) -> dict[str, tuple[Matrix, int]]:
    """Replace every large matrix that is `chosen` by its int8 form and a DequantizeLinear: per row for embeddings, per
    output for products. By name, what was replaced: the matrix as it was, and the axis that has the scales.
    """
    uses = {name: node for node in graph.node for name in node.input}
    replaced = {}
    for tensor in list(graph.initializer):
        weights = numpy_helper.to_array(tensor)
        if weights.ndim != 2 or weights.size < LEAST or weights.dtype != np.float32 or tensor.name not in uses:
            continue
        axis = scaled_axis(uses[tensor.name], tensor.name)
        if axis is not None and chosen(weights):
            _replace(graph, tensor, weights, axis)
            replaced[tensor.name] = (weights, axis)
    return replaced


def scaled_axis(node: Any, name: str) -> int | None:
    """The axis of a matrix along which a node looks up rows or gives outputs; None if it is used in another way."""
    if node.op_type == "Gather" and node.input[0] == name:
        return 0
    if node.op_type == "MatMul" and node.input[1] == name:
        return 1
    if node.op_type == "Gemm" and node.input[1] == name:
        # PyTorch keeps a product's outputs in rows, which Gemm is told to transpose.
        return 0 if any(attribute.name == "transB" and attribute.i for attribute in node.attribute) else 1
    return None


def _replace(graph: Any, tensor: Any, weights: Matrix, axis: int) -> None:
    small, scales = rounded(weights, axis)
    name = tensor.name
    graph.initializer.remove(tensor)
    graph.initializer.extend(
        [numpy_helper.from_array(small, f"{name}.int8"), numpy_helper.from_array(scales, f"{name}.scale")]
    )
    graph.node.insert(0, helper.make_node("DequantizeLinear", [f"{name}.int8", f"{name}.scale"], [name], axis=axis))
