"""Tiny experts on disk, for tests of what is loaded and served: an encoder whose features are the mean of its tokens'
rows in a random table. Needs the extra `train`, for onnx."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from experts.manifest import MANIFEST, Backbone
from experts.served import FEATURES
from support.trunks import manifest

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = (*SPECIAL, "a", "bad", "cat", "dog", "good", "how", "is", "kill", "old", "the", "to", "you", "word", "turn")
FEATURES_OF_A_TOKEN = 8


def tokenizer() -> bytes:
    """Words of WORDS, all others unknown; a pair is told apart by types 0 and 1."""
    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return bytes(made.to_str().encode())


def encoder(outputs: int | None = None, types: bool = True, seed: int = 0) -> bytes:
    """An ONNX encoder: features float[N, 8], or with `outputs` that many logits of them."""
    from onnx import TensorProto, helper, numpy_helper

    draws = np.random.default_rng(seed)
    tables = {"words": draws.normal(size=(len(WORDS), FEATURES_OF_A_TOKEN)), "axis": np.array([1], np.int64)}
    tables |= {"types": draws.normal(size=(2, FEATURES_OF_A_TOKEN)), "last": np.array([2], np.int64)}
    nodes = [helper.make_node("Gather", ["words", "input_ids"], ["of_words"])]
    if types:
        nodes.append(helper.make_node("Gather", ["types", "token_type_ids"], ["of_types"]))
    nodes += [
        helper.make_node("Add", ["of_words", "of_types"], ["rows"]) if types else _same("of_words", "rows"),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["rows", "wide"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], [FEATURES if outputs is None else "mean"]),
    ]
    if outputs is not None:
        tables["top"] = draws.normal(size=(FEATURES_OF_A_TOKEN, outputs))
        nodes.append(helper.make_node("MatMul", ["mean", "top"], ["logits"]))
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"]) for name in names],
        [_output(FEATURES, FEATURES_OF_A_TOKEN) if outputs is None else _output("logits", outputs)],
        [numpy_helper.from_array(_narrow(values), name) for name, values in tables.items()],
    )
    return _model(graph)


def features(texts: Sequence[str], types: bool = True, seed: int = 0) -> npt.NDArray[np.float64]:
    """What `encoder` makes of texts, computed otherwise: the mean over their words' rows, float[N, 8]."""
    draws = np.random.default_rng(seed)
    table = draws.normal(size=(len(WORDS), FEATURES_OF_A_TOKEN))
    first = draws.normal(size=(2, FEATURES_OF_A_TOKEN))[0] if types else 0.0
    places = [[WORDS.index(word) if word in WORDS else 1 for word in f"[CLS] {text} [SEP]".split()] for text in texts]
    return np.array([table[row].mean(axis=0) + first for row in places])


def matrix(outputs: int = 1, seed: int = 0, features: int = FEATURES_OF_A_TOKEN) -> npt.NDArray[np.float32]:
    """What `head` multiplies features by."""
    return np.random.default_rng(seed).normal(size=(features, outputs)).astype(np.float32)


def head(outputs: int = 1, seed: int = 0, features: int = FEATURES_OF_A_TOKEN) -> bytes:
    """An ONNX head: features float[N, 8] to logits float[N, outputs]."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMul", [FEATURES, "top"], ["logits"])],
        "head",
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["rows", features])],
        [_output("logits", outputs)],
        [numpy_helper.from_array(matrix(outputs, seed, features), "top")],
    )
    return _model(graph)


def write(folder: Path, kind: str, files: dict[str, bytes], means: Sequence[str] = ("unsafe",), **changes: Any) -> Path:
    """A folder with these files and a manifest that fits them."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    made = manifest(folder.name, means, kind=kind, files=digests, **changes)
    (folder / MANIFEST).write_bytes(msgspec.json.encode(made))
    return folder


def backbone(root: Path, name: str = "encoder", model: bytes | None = None, **changes: Any) -> Backbone:
    """A backbone's folder, and how a head names it."""
    files = {"model.onnx": model or encoder(), "tokenizer.json": tokenizer()}
    folder = write(root / name, "backbone", files, (), **changes)
    return Backbone(name, hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest())


def _same(before: str, after: str) -> Any:
    from onnx import helper

    return helper.make_node("Identity", [before], [after])


def _output(name: str, columns: int) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", columns])


def _narrow(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values if values.dtype == np.int64 else values.astype(np.float32)


def _model(graph: Any) -> bytes:
    from onnx import checker, helper

    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
