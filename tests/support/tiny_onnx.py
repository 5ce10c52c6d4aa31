"""A classifier's folder made by hand, byte by byte, so that tests of bad input need no package that writes ONNX.

Its model looks up a row of logits for each token and takes the largest of each column: two nodes. Field numbers are
those of onnx.proto.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from experts.manifest import MANIFEST, VERSION, Kind, Label, Manifest, Platt, Reads, Tokens
from experts.texts import PARAGRAPH

WORDS = ("[PAD]", "[UNK]", *sorted({word.strip(".,:").casefold() for word in PARAGRAPH.split()}))
FLOAT, INT64 = 1, 7
# What padding says: less than any word.
NOTHING = -1000.0


def field(number: int, value: bytes | str | int) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """A whole number, seven bits a byte."""
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def node(operator: str, inputs: Sequence[str], output: str, **ints: Sequence[int] | int) -> bytes:
    """A node whose attributes are whole numbers, or lists of them."""
    message = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)
    for name, value in ints.items():
        listed = not isinstance(value, int)
        values = b"".join(field(8, each) for each in value) if not isinstance(value, int) else field(3, value)
        message += field(5, field(1, name) + values + field(20, 7 if listed else 2))
    return message


def tensor(name: str, values: npt.NDArray[np.float32]) -> bytes:
    """A constant."""
    dims = b"".join(field(1, size) for size in values.shape)
    return dims + field(2, FLOAT) + field(8, name) + field(9, values.astype("<f4").tobytes())


def value(name: str, kind: int, *axes: str | int) -> bytes:
    """An input or output of the graph; an axis has a name or a size."""
    shape = b"".join(field(1, field(2 if isinstance(axis, str) else 1, axis)) for axis in axes)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def model(logits: npt.NDArray[np.float32], beside: bool = False) -> bytes:
    """The ONNX file of logits float[V, C] for each of V tokens; with `beside`, what other rows say is subtracted."""
    nodes = [
        node("Gather", ("table", "input_ids"), "rows"),
        node("ReduceMax", ("rows",), "largest" if beside else "logits", axes=[1], keepdims=0),
    ]
    if beside:
        nodes += [
            node("ReduceMax", ("largest",), "others", axes=[0], keepdims=1),
            node("Sub", ("largest", "others"), "logits"),
        ]
    graph = b"".join(field(1, each) for each in nodes) + field(2, "tiny") + field(5, tensor("table", logits))
    graph += b"".join(field(11, value(name, INT64, "rows", "tokens")) for name in ("input_ids", "attention_mask"))
    graph += field(12, value("logits", FLOAT, "rows", logits.shape[1]))
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def table(columns: int = 1, tokens: int = len(WORDS), seed: int = 0) -> npt.NDArray[np.float32]:
    """Random logits float32[V, C]; padding says nothing."""
    logits = np.random.default_rng(seed).normal(size=(tokens, columns)).astype(np.float32)
    logits[0] = NOTHING
    return logits


def tokenizer() -> bytes:
    """Words of WORDS; all others are unknown."""
    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return bytes(made.to_str().encode())


def write(
    folder: Path,
    content: bytes | None = None,
    means: Sequence[str] = ("unsafe",),
    kind: Kind = "classifier",
    **changes: Any,
) -> Path:
    """An expert's folder whose manifest fits its files."""
    content = model(table(len(means))) if content is None else content
    files = {"model.onnx": content, "tokenizer.json": tokenizer()}
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    made = Manifest(
        manifest=VERSION,
        name=folder.name,
        version="1",
        kind=kind,
        summary="Made in a test.",
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        reads=Reads(roles=("user", "assistant"), history=False, max_tokens=32),
        calibration=Platt(1.0, 0.0),
        labels=tuple(Label(f"label {place}", meaning) for place, meaning in enumerate(means)),
        tokens=Tokens(),
        licence="Apache-2.0",
        sources=(),
    )
    (folder / MANIFEST).write_bytes(msgspec.json.encode(msgspec.structs.replace(made, **changes)))
    return folder
