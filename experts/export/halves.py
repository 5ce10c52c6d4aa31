"""A model in half precision, for the GPU. Needs onnx.

What becomes an index keeps fp32: MPNet and DeBERTa compute the bucket of a distance with logarithms, and in fp16 that
is at times the bucket beside it (logits of a small MPNet moved by 0.16).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

# Sums over many numbers lose too much in fp16; ONNX Runtime computes these in fp32 with casts around them.
KEPT: Final = ("LayerNormalization", "SimplifiedLayerNormalization", "Softmax", "ReduceMean", "Pow", "CumSum", "Range")
WHOLE: Final = (TensorProto.INT64, TensorProto.INT32)
# What these give depends on shapes alone, so no number before them matters.
SHAPES: Final = ("Shape", "Size")


def halved(model: bytes) -> bytes:
    """The model with fp16 weights and arithmetic, its inputs and outputs as they were, and its int8 weights, too."""
    graph = onnx.load_from_string(model)
    unpack(graph.graph)
    name_nodes(graph.graph)  # nodes are kept by name, and two may have one, or none
    kept = {"op_block_list": list(KEPT), "node_block_list": index_nodes(graph.graph)}
    half = convert_float_to_float16(graph, keep_io_types=True, **kept)
    drop_repeated(half.graph)
    return bytes(half.SerializeToString())


def drop_repeated(graph: Any) -> None:
    """Cast once what is cast again for each of the kept nodes that share it (ALBERT's layers), under one name."""
    seen: set[str] = set()
    for node in list(graph.node):
        if node.op_type == "Cast" and node.output[0] in seen:
            graph.node.remove(node)
        seen.update(node.output)


def name_nodes(graph: Any) -> None:
    """Number the nodes."""
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"


def index_nodes(graph: Any) -> list[str]:
    """The names of the nodes whose numbers become whole ones."""
    made = {output: node for node in graph.node for output in node.output}
    waiting = [node for node in graph.node if node.op_type == "Cast" and node.attribute[0].i in WHOLE]
    found: dict[str, None] = {}
    while waiting:
        node = waiting.pop()
        if node.name not in found and node.op_type not in SHAPES:
            found[node.name] = None
            waiting.extend(made[name] for name in node.input if name in made)
    return list(found)


def unpack(graph: Any) -> None:
    """Replace every stored int8 matrix and its DequantizeLinear by the fp32 matrix that it stands for."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in stored]:
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        small, scale = (numpy_helper.to_array(stored[name]) for name in node.input[:2])
        zero = numpy_helper.to_array(stored[node.input[2]]) if len(node.input) > 2 else np.int8(0)
        shape = [-1 if place == axis % small.ndim else 1 for place in range(small.ndim)] if scale.ndim else []
        wide = (small.astype(np.float32) - np.asarray(zero, np.float32).reshape(shape or -1)) * scale.reshape(shape)
        graph.initializer.append(numpy_helper.from_array(wide.reshape(small.shape).astype(np.float32), node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for name in [name for name in stored if name not in used]:
        graph.initializer.remove(stored[name])
