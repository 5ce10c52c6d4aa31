"""The hashed n-grams of the lexical expert, twice: as a sparse matrix to learn from, and as an ONNX graph to serve.

An n-gram of ids a_1 .. a_n (each from 1, below `base`) is the number h = sum of a_k * base^(n-k), and its row in the
table of weights is ((h mod P) * A_n + B_n) mod P mod ROWS: universal hashing (Carter & Wegman, 1979), in int64 without
overflow since P < 2^31. Both functions below must stay the same arithmetic; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy import sparse

from experts.lexical import CHARACTER_ORDERS, WORD_ORDERS, Grams

P: Final = 2**31 - 1
ROWS: Final = 2**20
OPSET: Final = 17
IR_VERSION: Final = 9  # of the time of that opset, so that older runtimes read it too
WORD_BASE: Final = 2**16
CHARACTER_BASE: Final = 2**10


@dataclass(frozen=True, slots=True)
class Hash:
    """One order's hash; `factor` and `shift` are arbitrary numbers below P, different for each."""

    order: int
    base: int
    factor: int
    shift: int


WORD_HASHES: Final = tuple(Hash(order, WORD_BASE, 1_103_515_245 + 7 * order, 12_345 * order) for order in WORD_ORDERS)
CHARACTER_HASHES: Final = tuple(
    Hash(order, CHARACTER_BASE, 1_664_525_223 + 11 * order, 1_013_904 * order) for order in CHARACTER_ORDERS
)


def rows_of(ids: Sequence[int], hashes: Sequence[Hash]) -> npt.NDArray[np.int64]:
    """The table rows of all n-grams of one text, in no particular order."""
    numbers = np.asarray(ids, np.int64)
    found = [np.zeros(0, np.int64)]
    for hash_ in hashes:
        if len(ids) >= hash_.order:
            windows = np.lib.stride_tricks.sliding_window_view(numbers, hash_.order)
            powers = hash_.base ** np.arange(hash_.order - 1, -1, -1, dtype=np.int64)
            found.append((windows @ powers % P * hash_.factor + hash_.shift) % P % ROWS)
    return np.concatenate(found)


def features(rows: Sequence[Grams]) -> Any:
    """The sparse matrix float64[N, ROWS]: each n-gram counts 1/sqrt(n-grams of its text and kind)."""
    columns, values, ends = [], [], [0]
    for row in rows:
        for ids, hashes in ((row.words, WORD_HASHES), (row.characters, CHARACTER_HASHES)):
            found = rows_of(ids, hashes)
            columns.append(found)
            values.append(np.full(len(found), 1 / np.sqrt(max(1, len(found)))))
        ends.append(ends[-1] + len(columns[-1]) + len(columns[-2]))
    matrix = sparse.csr_matrix((np.concatenate(values), np.concatenate(columns), ends), shape=(len(rows), ROWS))
    matrix.sum_duplicates()
    return matrix


class Graph:
    """Collects nodes and constants, with names of its own."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, kind: type[np.generic]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def number(self, value: int) -> str:
        return self.constant(value, np.int64)


def order_sum(graph: Graph, ids: str, table: str, hash_: Hash) -> tuple[str, str]:
    """The sum of one order's weights and its number of n-grams, float[N] each."""
    axis = graph.constant([1], np.int64)
    number = last = ""
    for place in range(hash_.order):
        end = place - hash_.order + 1
        ends = graph.constant([end if end else np.iinfo(np.int64).max], np.int64)
        last = graph.add("Slice", ids, graph.constant([place], np.int64), ends, axis)
        number = graph.add("Add", graph.add("Mul", number, graph.number(hash_.base)), last) if place else last
    number = graph.add("Mul", graph.add("Mod", number, graph.number(P)), graph.number(hash_.factor))
    number = graph.add("Mod", graph.add("Add", number, graph.number(hash_.shift)), graph.number(P))
    row = graph.add("Mod", number, graph.number(ROWS))
    # Padding is 0 and stands on the right, so an n-gram is real if its last id is.
    real = graph.add("Greater", last, graph.number(0))
    weights = graph.add("Cast", graph.add("Gather", table, row), to=TensorProto.FLOAT)
    kept = graph.add("Where", real, weights, graph.constant(0, np.float32))
    count = graph.add("Cast", real, to=TensorProto.FLOAT)
    return graph.add("ReduceSum", kept, axis, keepdims=0), graph.add("ReduceSum", count, axis, keepdims=0)


def side(graph: Graph, ids: str, table: str, hashes: Sequence[Hash]) -> str:
    """The sum of all orders' weights over the square root of their number, float[N]."""
    total = count = ""
    for hash_ in hashes:
        part, found = order_sum(graph, ids, table, hash_)
        total = graph.add("Add", total, part) if total else part
        count = graph.add("Add", count, found) if count else found
    return graph.add("Div", total, graph.add("Sqrt", graph.add("Max", count, graph.constant(1, np.float32))))


def build(table: npt.NDArray[np.int8], scale: float, bias: float) -> Any:
    """The ONNX model from words and characters, int64[N, T] each, to logits float[N].

    The weights are `scale` times `table`, int8[ROWS]. Sums of int8 in float32 are exact, so that a score is the same to
    the last bit in any batch.
    """
    graph = Graph()
    weights = graph.constant(table, np.int8)
    words = side(graph, "words", weights, WORD_HASHES)
    characters = side(graph, "characters", weights, CHARACTER_HASHES)
    scaled = graph.add("Mul", graph.add("Add", words, characters), graph.constant(scale, np.float32))
    graph.nodes.append(helper.make_node("Add", [scaled, graph.constant(bias, np.float32)], ["logit"]))
    names = ("words", "characters")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", name]) for name in names]
    outputs = [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["rows"])]
    made = helper.make_graph(graph.nodes, "lexical", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="aegis-stream")
    onnx.checker.check_model(model, full_check=True)
    return model
