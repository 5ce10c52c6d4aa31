"""Exports what was fine-tuned to ONNX, its weights stored as int8 and computed with as fp32. Needs torch and onnx.

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

from experts.batching import CPU_BUDGET, plan
from experts.classifier import NEEDED, TYPES
from experts.export.storage import LEAST, as_stored, store_as_int8
from experts.served import FEATURES
from experts.session import Session
from experts.train.encoder import NOTHING, Head, Model, Row, logits, tensors

OPSET: Final = 17
# Rows on which the exported model is compared with PyTorch.
COMPARED: Final = 256


def export_encoder(model: Model) -> bytes:
    """The encoder's ONNX file: int64[N, T] inputs as of `experts.classifier`, `features` float32[N, D]."""
    names = ["input_ids", "attention_mask", *([TYPES] if model.encoder.typed else [])]
    example = tensors([Row([5, 6, 7], [0] * 3, NOTHING, NOTHING), Row([5, 6], [0] * 2, NOTHING, NOTHING)], 0, True)
    axes = {name: {0: "rows", 1: "tokens"} for name in names} | {FEATURES: {0: "rows"}}
    return stored(traced(model.encoder, example[: len(names)], names, FEATURES, axes))


def export_head(head: Head) -> bytes:
    """A head's ONNX file: `features` float32[N, D] to `logits` float32[N, C]."""
    example = torch.zeros(2, head.layers[0].in_features)
    axes = {FEATURES: {0: "rows"}, "logits": {0: "rows"}}
    return stored(traced(head, (example,), [FEATURES], "logits", axes))


def export_whole(model: Model) -> bytes:
    """Encoder and heads in one ONNX file, for an expert that shares nothing: `logits` float32[N, C]."""
    names = ["input_ids", "attention_mask", *([TYPES] if model.encoder.typed else [])]
    example = tensors([Row([5, 6, 7], [0] * 3, NOTHING, NOTHING), Row([5, 6], [0] * 2, NOTHING, NOTHING)], 0, True)
    axes = {name: {0: "rows", 1: "tokens"} for name in names} | {"logits": {0: "rows"}}
    return stored(traced(model, example[: len(names)], names, "logits", axes))


def traced(module: Any, example: tuple[Any, ...], inputs: list[str], output: str, axes: Any) -> Any:
    """The graph as PyTorch exports it, in fp32."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is deprecated in favour of one that needs onnxscript, and warns of each constant it
        # folds.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            example,
            content,
            input_names=inputs,
            output_names=[output],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(content.getvalue())


def stored(graph: Any) -> bytes:
    """The graph's file with its matrices as int8."""
    store_as_int8(graph.graph)
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString())


@dataclass(frozen=True, slots=True)
class Difference:
    """How far logits of the exported model are from PyTorch's: with the weights as trained, and with those stored."""

    mean: float
    most: float
    same_weights: float

    def __str__(self) -> str:
        return (
            f"with the weights as trained they differ by {self.mean:.4f} on average and {self.most:.4f} at most, "
            f"with the stored weights by {self.same_weights:.1e} at most"
        )


def compare(model: Model, encoder: bytes, heads: Sequence[bytes], rows: Sequence[Row], pad: int) -> Difference:
    """The differences on these rows, over the columns of all heads; no heads: `encoder` is the whole model."""
    served = onnx_logits(encoder, heads, rows, pad)
    from_trained = np.abs(served - logits(model, rows, pad))
    from_stored = np.abs(served - logits(with_stored_weights(model), rows, pad))
    return Difference(float(from_trained.mean()), float(from_trained.max()), float(from_stored.max()))


def with_stored_weights(model: Model) -> Model:
    """The PyTorch model with its matrices rounded as they are stored."""
    result = copy.deepcopy(model)
    for weights in result.parameters():
        # What is looked up by a computed position (MPNet's distances) is small, and PyTorch keeps the rest in rows.
        if weights.ndim == 2 and weights.numel() >= LEAST:
            weights.data = torch.from_numpy(as_stored(weights.detach().numpy(), 0))
    return result


def onnx_logits(encoder: bytes, heads: Sequence[bytes], rows: Sequence[Row], pad: int) -> npt.NDArray[np.float32]:
    """The exported models' logits, float32[N, C], batched as they are when served."""
    body = Session(encoder, "the exported encoder", set(NEEDED), "cpu", optional=frozenset({TYPES}))
    tops = [Session(head, "an exported head", {FEATURES}, "cpu", 1) for head in heads]
    names = ("input_ids", "attention_mask", TYPES)
    parts, order = [], plan([len(row.ids) for row in rows], CPU_BUDGET)
    for batch in order:
        inputs = tensors([rows[index] for index in batch], pad, TYPES in body.inputs)
        features = body.run({name: value.numpy() for name, value in zip(names, inputs, strict=False)})
        parts.append(np.concatenate([top.run({FEATURES: features}) for top in tops], 1) if tops else features)
    return np.concatenate(parts)[np.argsort(np.concatenate(order))]
