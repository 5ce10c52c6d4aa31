"""The ONNX graph of a Llama-family guard, written node by node from a configuration and weights.

It computes what a verdict needs, and no more: `verdicts` float[N, 2], the logits of the tokens for safe and unsafe
after each row's last token, and `best` float[N], the largest logit of the whole vocabulary there (an answer that is
neither token is an abstention). Inputs are `input_ids` int64[N, T], padded on the right, `lengths` int64[N], and the
keys and values of a prompt that all rows have in common, `past.L.key` [G, D, P] and `past.L.value` [G, P, D] for each
layer L (G key heads of size D, P tokens, which may be none). Outputs `present.L.key` [G, N, D, T] and `present.L.value`
[G, N, T, D] are the same of the rows themselves: the prompt is run once, as one row, to get what it leaves behind.

Rows are padded on the right and see only what stands before them, so no mask of the padding is needed, and every row's
first token has position P: both follow from the shapes. The shared keys are multiplied with all rows at once and are
never copied to each of them, which is what an export for text generation does.

Source of the formulas: Touvron et al., "LLaMA", 2023 (arXiv 2302.13971), section 2.2; Su et al., "RoFormer", 2021
(rotary positions); Ainslie et al., "GQA", 2023 (groups of heads that share keys).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from experts.export.guard_store import Precision, Store
from experts.export.storage import rounded

OPSET: Final = 17
IR: Final = 8
Array = npt.NDArray[Any]
# The weight of that name as float32 or float16, None if the model has none: biases, or an output tied to the embedding.
Weights = Callable[[str], Array | None]


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama-family decoder in numbers; `frequencies` float32[D / 2] are those of the rotary positions, in radians a
    token, and `stretch` multiplies their cosines and sines.
    """

    layers: int
    heads: int
    groups: int
    size: int
    epsilon: float
    frequencies: Array
    stretch: float = 1.0


class Graph:
    """Collects nodes; a call adds one and returns the name of its (first) output."""

    def __init__(self, shape: Shape, weights: Weights, store: Store, precision: Precision) -> None:
        self.shape, self.weights, self.store, self.precision = shape, weights, store, precision
        self.type = np.dtype(np.float16 if precision == "fp16" else np.float32)
        self.nodes: list[Any] = []
        self._constants: dict[tuple[Any, ...], str] = {}

    def __call__(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        output = name or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def parts(self, value: str, axis: int, *lengths: str) -> tuple[str, str]:
        """A tensor in two along an axis: halves, or as long as the vector `lengths` says."""
        names = (f"Split_{len(self.nodes)}_a", f"Split_{len(self.nodes)}_b")
        self.nodes.append(helper.make_node("Split", [value, *lengths], names, axis=axis))
        return names

    def shaped(self, value: str, shape: str) -> str:
        """A tensor in the shape of an int64 vector, in which nothing is a length of its own: there may be no prompt."""
        return self("Reshape", value, shape, allowzero=1)

    def ints(self, *values: int) -> str:
        """A constant int64 vector."""
        return self.constant(np.array(values, np.int64))

    def constant(self, values: Array) -> str:
        """A small constant, kept once."""
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = self.store.add(f"constant_{len(self._constants)}", values)
        return self._constants[key]

    def cast(self, value: str, type_: npt.DTypeLike) -> str:
        """The value in another type."""
        return self("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(type_)))

    def computed(self, value: str) -> str:
        """A float32 value in the type that products are computed in."""
        return value if self.type == np.float32 else self.cast(value, self.type)

    def exact(self, value: str) -> str:
        """A value in float32, for what must not be rounded: squares, exponentials, the last logits."""
        return value if self.type == np.float32 else self.cast(value, np.float32)

    def matrix(self, name: str, transposed: bool) -> str:
        """A weight matrix as it is stored; `transposed` for products, whose outputs PyTorch keeps in rows. One that the
        model lacks is a KeyError.
        """
        values = self.weights(name)
        if values is None:
            raise KeyError(name)
        values = np.ascontiguousarray(values.T if transposed else values)
        if self.precision != "int8-stored":
            return self.store.add(name, values.astype(self.type))
        small, scales = rounded(values.astype(np.float32), 1 if transposed else 0)
        stored = [self.store.add(f"{name}.int8", small), self.store.add(f"{name}.scale", scales)]
        return self("DequantizeLinear", *stored, name=name, axis=1 if transposed else 0)

    def linear(self, value: str, name: str) -> str:
        """x Wᵀ, plus the bias if there is one."""
        result = self("MatMul", value, self.matrix(f"{name}.weight", transposed=True))
        bias = self.weights(f"{name}.bias")
        return result if bias is None else self("Add", result, self.store.add(f"{name}.bias", bias.astype(self.type)))

    def normed(self, value: str, name: str) -> str:
        """x / sqrt(mean(x²) + ε) · w, squares and mean in float32."""
        weight = self.weights(f"{name}.weight")
        if weight is None:
            raise KeyError(name)
        exact = self.exact(value)
        squares = self("Pow", exact, self.constant(np.array(2.0, np.float32)))
        mean = self("ReduceMean", squares, axes=[-1], keepdims=1)
        root = self("Sqrt", self("Add", mean, self.constant(np.array(self.shape.epsilon, np.float32))))
        scaled = self.computed(self("Div", exact, root))
        return self("Mul", scaled, self.store.add(f"{name}.weight", weight.astype(self.type)))


@dataclass(frozen=True, slots=True)
class Around:
    """What every layer reads besides its input: cosines and sines of the positions [T, D / 2], the same upright
    [D / 2, T], the mask of what comes later [T, T], and shapes as int64 vectors, which name what they make.
    """

    cosine: str
    sine: str
    cosine_upright: str
    sine_upright: str
    mask: str
    parts: str  # (P, T)
    queries: str  # (G, N, H / G, T, D)
    queries_by_row: str  # (G, N, H / G · T, D)
    queries_together: str  # (G, N · H / G · T, D)
    shared_scores: str  # (G, N, H / G, T, P)
    own_scores: str  # (G, N, H / G, T, T)
    shared_shares: str  # (G, N · H / G · T, P)
    own_shares: str  # (G, N, H / G · T, T)


def around(g: Graph) -> Around:
    """Positions, mask and shapes, from the shapes of the inputs."""
    inputs = g("Shape", "input_ids")
    rows, tokens = g("Gather", inputs, g.ints(0)), g("Gather", inputs, g.ints(1))
    shared = g("Gather", g("Shape", "past.0.key"), g.ints(2))
    groups, inside, size = g.ints(g.shape.groups), g.ints(g.shape.heads // g.shape.groups), g.ints(g.shape.size)
    by_row = g("Mul", inside, tokens)
    all_rows = g("Mul", rows, by_row)

    def shape(*lengths: str) -> str:
        return g("Concat", *lengths, axis=0)

    return Around(
        *waves(g, tokens, shared),
        parts=shape(shared, tokens),
        queries=shape(groups, rows, inside, tokens, size),
        queries_by_row=shape(groups, rows, by_row, size),
        queries_together=shape(groups, all_rows, size),
        shared_scores=shape(groups, rows, inside, tokens, shared),
        own_scores=shape(groups, rows, inside, tokens, tokens),
        shared_shares=shape(groups, all_rows, shared),
        own_shares=shape(groups, rows, by_row, tokens),
    )


def waves(g: Graph, tokens: str, shared: str) -> tuple[str, str, str, str, str]:
    """The first five of `Around`."""
    zero, one = g.constant(np.array(0, np.int64)), g.constant(np.array(1, np.int64))
    order = g("Range", zero, g("Squeeze", tokens, g.ints(0)), one)
    row, column = g("Unsqueeze", order, g.ints(0)), g("Unsqueeze", order, g.ints(1))
    positions = g.cast(g("Add", column, shared), np.float32)
    angles = g("Mul", positions, g.constant(g.shape.frequencies.astype(np.float32)[None]))
    stretch = g.constant(np.array(g.shape.stretch, np.float32))
    cosine, sine = (g.computed(g("Mul", g(wave, angles), stretch)) for wave in ("Cos", "Sin"))
    blocked, free = g.constant(np.array(-np.inf, np.float32)), g.constant(np.array(0.0, np.float32))
    mask = g("Where", g("Less", column, row), blocked, free)
    return cosine, sine, g("Transpose", cosine, perm=[1, 0]), g("Transpose", sine, perm=[1, 0]), mask


def turned(g: Graph, value: str, waves: tuple[str, str], axis: int, name: str | None = None) -> str:
    """The rotary positions: each pair of numbers, one of each half of `axis`, turned by its angle."""
    (first, second), (cosine, sine) = g.parts(value, axis), waves
    left = g("Sub", g("Mul", first, cosine), g("Mul", second, sine))
    right = g("Add", g("Mul", second, cosine), g("Mul", first, sine))
    return g("Concat", left, right, axis=axis, name=name)


def attention(g: Graph, value: str, layer: int, near: Around) -> str:
    """Every row looks at the shared prompt and at what stands before it in its own tokens. Tensors have the groups of
    heads first, so that to the shared keys the queries of all rows are one matrix.
    """
    s, name = g.shape, f"model.layers.{layer}.self_attn"
    queries = g("Reshape", g.linear(value, f"{name}.q_proj"), g.ints(0, 0, s.groups, s.heads // s.groups, s.size))
    queries = turned(g, g("Transpose", queries, perm=[2, 0, 3, 1, 4]), (near.cosine, near.sine), 4)
    queries = g("Mul", queries, g.constant(np.array(s.size**-0.5, g.type)))
    keys = g("Reshape", g.linear(value, f"{name}.k_proj"), g.ints(0, 0, s.groups, s.size))
    upright = (near.cosine_upright, near.sine_upright)
    keys = turned(g, g("Transpose", keys, perm=[2, 0, 3, 1]), upright, 2, f"present.{layer}.key")
    values = g("Reshape", g.linear(value, f"{name}.v_proj"), g.ints(0, 0, s.groups, s.size))
    values = g("Transpose", values, perm=[2, 0, 1, 3], name=f"present.{layer}.value")
    mixed = g("Transpose", mixture(g, queries, keys, values, layer, near), perm=[1, 3, 0, 2, 4])
    return g.linear(g("Reshape", mixed, g.ints(0, 0, s.heads * s.size)), f"{name}.o_proj")


def mixture(g: Graph, queries: str, keys: str, values: str, layer: int, near: Around) -> str:
    """softmax(q Kᵀ) V, with one softmax over the shared tokens and the row's own; shaped as `queries`."""
    shared = g("MatMul", g.shaped(queries, near.queries_together), f"past.{layer}.key")
    own = g("MatMul", g.shaped(queries, near.queries_by_row), keys)
    own = g("Add", g.exact(g.shaped(own, near.own_scores)), near.mask)
    scores = g("Concat", g.exact(g.shaped(shared, near.shared_scores)), own, axis=4)
    shares = g.computed(g("Softmax", scores, axis=4))
    of_shared, of_own = g.parts(shares, 4, near.parts)
    shared = g("MatMul", g.shaped(of_shared, near.shared_shares), f"past.{layer}.value")
    own = g("MatMul", g.shaped(of_own, near.own_shares), values)
    return g("Add", g.shaped(shared, near.queries), g.shaped(own, near.queries))


def gated(g: Graph, value: str, layer: int) -> str:
    """W_down (silu(W_gate x) · W_up x)."""
    name = f"model.layers.{layer}.mlp"
    gate = g.linear(value, f"{name}.gate_proj")
    gate = g("Mul", gate, g("Sigmoid", gate))
    return g.linear(g("Mul", gate, g.linear(value, f"{name}.up_proj")), f"{name}.down_proj")


def answer(g: Graph, value: str, verdicts: tuple[int, int]) -> None:
    """The outputs: the vocabulary's logits after each row's last token, of which only two and the largest leave."""
    rows = g("Gather", g("Shape", "lengths"), g.constant(np.array(0, np.int64)))
    zero, one = g.constant(np.array(0, np.int64)), g.constant(np.array(1, np.int64))
    row = g("Unsqueeze", g("Range", zero, rows, one), g.ints(1))
    last = g("Unsqueeze", g("Sub", "lengths", one), g.ints(1))
    ends = g.normed(g("GatherND", value, g("Concat", row, last, axis=1)), "model.norm")
    if g.weights("lm_head.weight") is None:
        logits = g("MatMul", ends, g("Transpose", "model.embed_tokens.weight", perm=[1, 0]))
    else:
        logits = g("MatMul", ends, g.matrix("lm_head.weight", transposed=True))
    logits = g.exact(logits)
    g("Gather", logits, g.ints(*verdicts), axis=1, name="verdicts")
    g("ReduceMax", logits, axes=[1], keepdims=0, name="best")


def build(shape: Shape, weights: Weights, store: Store, precision: Precision, verdicts: tuple[int, int]) -> Any:
    """The model, onnx.ModelProto; `verdicts` are the token ids of safe and unsafe. KeyError if a weight is missing."""
    g = Graph(shape, weights, store, precision)
    near = around(g)
    value = g("Gather", g.matrix("model.embed_tokens.weight", transposed=False), "input_ids")
    for layer in range(shape.layers):
        name = f"model.layers.{layer}"
        value = g("Add", value, attention(g, g.normed(value, f"{name}.input_layernorm"), layer, near))
        value = g("Add", value, gated(g, g.normed(value, f"{name}.post_attention_layernorm"), layer))
    answer(g, value, verdicts)
    store.close()
    graph = helper.make_graph(g.nodes, "guard", *interface(shape, g.type), initializer=store.initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def interface(shape: Shape, type_: np.dtype[Any]) -> tuple[list[Any], list[Any]]:
    """The graph's inputs and outputs, as the module's docstring lists them."""
    number, whole, single = helper.np_dtype_to_tensor_dtype(type_), TensorProto.INT64, TensorProto.FLOAT
    groups, size, info = shape.groups, shape.size, helper.make_tensor_value_info
    inputs = [info("input_ids", whole, ["N", "T"]), info("lengths", whole, ["N"])]
    outputs = [info("verdicts", single, ["N", 2]), info("best", single, ["N"])]
    for layer in range(shape.layers):
        inputs.append(info(f"past.{layer}.key", number, [groups, size, "P"]))
        inputs.append(info(f"past.{layer}.value", number, [groups, "P", size]))
        outputs.append(info(f"present.{layer}.key", number, [groups, "N", size, "T"]))
        outputs.append(info(f"present.{layer}.value", number, [groups, "N", "T", size]))
    return inputs, outputs
