"""Exports a fine-tuned classifier to ONNX, its weights stored as int8 and computed with as fp32. Needs torch and onnx.

Only weights are rounded; what flows between the layers stays fp32. So a score does not depend on the other texts of its
batch, which it does with dynamic int8 (by up to 0.11).
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper

from experts.base import Scores
from experts.batching import CPU_BUDGET, plan
from experts.classifier import INPUTS, ClassifierReader, Tokens
from experts.session import Session
from experts.train.finetune import Classifier, Row, backbone_tokenizer, logits, tensors

OPSET: Final = 17
# Smaller tensors (biases, norms) are not worth rounding.
LEAST: Final = 1024
# Rows on which the exported model is compared with PyTorch.
COMPARED: Final = 256


def export(model: Classifier) -> bytes:
    """The ONNX file's content: int64[N, T] inputs as `experts.classifier.INPUTS`, logits float[N]."""
    graph = onnx.load_from_string(traced(model))
    store_as_int8(graph.graph)
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString())


def traced(model: Classifier) -> bytes:
    """The model as PyTorch exports it, in fp32."""
    names = ["input_ids", "attention_mask", "token_type_ids"]
    content = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is deprecated in favour of one that needs onnxscript, and warns of each constant it
        # folds.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            tensors([Row([101, 2054, 102], [0, 0, 0]), Row([101, 102], [0, 0])]),
            content,
            input_names=names,
            output_names=["logit"],
            dynamic_axes={name: {0: "rows", 1: "tokens"} for name in names} | {"logit": {0: "rows"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return content.getvalue()


def rounded(weights: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """A matrix as int8, with a scale for each index of `axis`: symmetric, to the nearest."""
    scales = (np.abs(weights).max(axis=1 - axis) / 127).astype(np.float32)
    scales[scales == 0] = 1.0
    return np.round(weights / np.expand_dims(scales, 1 - axis)).astype(np.int8), scales


def store_as_int8(graph: Any) -> None:
    """Replace every large matrix by its int8 form and a DequantizeLinear: per row for embeddings, per output for
    products.
    """
    uses = {name: node for node in graph.node for name in node.input}
    for tensor in list(graph.initializer):
        weights = numpy_helper.to_array(tensor)
        if weights.ndim != 2 or weights.size < LEAST or weights.dtype != np.float32:
            continue
        axis = 0 if uses[tensor.name].op_type == "Gather" else 1
        small, scales = rounded(weights, axis)
        name = tensor.name
        graph.initializer.remove(tensor)
        graph.initializer.extend(
            [numpy_helper.from_array(small, f"{name}.int8"), numpy_helper.from_array(scales, f"{name}.scale")]
        )
        inputs = [f"{name}.int8", f"{name}.scale"]
        graph.node.insert(0, helper.make_node("DequantizeLinear", inputs, [name], axis=axis))


@dataclass(frozen=True, slots=True)
class Difference:
    """How far logits of the exported model are from PyTorch's: with the weights as trained, and with those stored."""

    mean: float
    most: float
    same_weights: float


def compare(model: Classifier, exported: bytes, rows: Sequence[Row]) -> Difference:
    """The differences on these rows."""
    served = onnx_logits(exported, rows)
    from_trained = np.abs(served - logits(model, rows))
    from_stored = np.abs(served - logits(with_stored_weights(model), rows))
    return Difference(float(from_trained.mean()), float(from_trained.max()), float(from_stored.max()))


def with_stored_weights(model: Classifier) -> Classifier:
    """The PyTorch model with its matrices rounded as they are stored."""
    result = copy.deepcopy(model)
    for weights in result.bert.parameters():
        if weights.ndim == 2 and weights.numel() >= LEAST:
            # PyTorch keeps a product's outputs in rows, as it does an embedding's tokens.
            small, scales = rounded(weights.detach().numpy(), 0)
            weights.data = torch.from_numpy(small.astype(np.float32) * scales[:, None])
    return result


def onnx_logits(exported: bytes, rows: Sequence[Row]) -> Scores:
    """The exported model's logits, float32[N], batched as they are when served."""
    session = Session(exported, "the exported model", set(INPUTS), "cpu")
    reader = ClassifierReader(backbone_tokenizer(), 1, history=True, pad=0)
    result = np.empty(len(rows), np.float32)
    for batch in plan([len(row.ids) for row in rows], CPU_BUDGET):
        result[batch] = session.run(reader.feeds([Tokens(rows[index].ids, rows[index].types) for index in batch]))
    return result
