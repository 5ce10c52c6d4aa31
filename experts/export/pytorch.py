"""Somebody else's classifier in PyTorch: read from its folder, asked for its logits, and traced to ONNX. Needs torch,
transformers, optimum and onnx.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import torch
from optimum.exporters.onnx import onnx_export_from_model
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from experts.errors import ExportError
from experts.export.origin import MAX_TOKENS, NO_LIMIT, Origin
from experts.export.storage import LEAST, LEAST_OPSET, Matrix, as_stored

Logits = npt.NDArray[np.float32]
# What these libraries log while they load and trace is for their developers.
CHATTY: Final = ("transformers", "optimum", "torch")
# A protobuf file cannot be larger; weights beside it would not be under the manifest's sha256 of model.onnx.
LARGEST: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Source:
    """A classifier as PyTorch has it: the module, its tokenizer as a tokenizer.json, the id that pads, and the most
    tokens that it can read.
    """

    module: Any
    tokenizer: str
    pad: int
    limit: int


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the libraries' warnings from the terminal; what is wrong is raised."""
    levels = {name: logging.getLogger(name).level for name in CHATTY}
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def read_source(origin: Origin) -> Source:
    """The model and its tokenizer. ExportError if they cannot be read, do not fit each other, or lack weights."""
    with quiet():
        module = _read_module(origin)
        tokenizer = _read_tokenizer(origin)
    embedded = int(module.get_input_embeddings().num_embeddings)
    largest = max(tokenizer.get_vocab().values())
    refuse_larger_vocabulary(largest, embedded)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else module.config.pad_token_id
    module.config.pad_token_id = pad or 0
    positions = positions_of(module)
    limit = min(positions, tokenizer.model_max_length if tokenizer.model_max_length < NO_LIMIT else positions)
    return Source(module, _plain(tokenizer.backend_tokenizer), pad or 0, limit)


def refuse_larger_vocabulary(largest: int, embedded: int) -> None:
    """ExportError if the tokenizer gives ids that the model has no embedding for."""
    if largest >= embedded:
        raise ExportError(
            f"the tokenizer gives ids up to {largest}, the model embeds only {embedded}: "
            "they do not belong together; put the model's own tokenizer beside it"
        )


def positions_of(module: Any) -> int:
    """How many tokens the model can read. RoBERTa's family counts its positions from behind the padding's id."""
    for name, part in module.named_modules():
        if name.endswith("position_embeddings") and isinstance(part, torch.nn.Embedding):
            return int(part.num_embeddings - (0 if part.padding_idx is None else part.padding_idx + 1))
    return int(getattr(module.config, "max_position_embeddings", None) or MAX_TOKENS)


def pytorch_logits(module: Any, feeds: Mapping[str, npt.NDArray[Any]]) -> Logits:
    """What the model says of a batch, float32[N, C]."""
    with torch.inference_mode():
        logits: Logits = module(**{name: torch.from_numpy(ids) for name, ids in feeds.items()}).logits.numpy()
    return logits


def traced(module: Any) -> Any:
    """The model as an ONNX graph in fp32. ExportError if optimum cannot export it."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        try:
            onnx_export_from_model(module, output=Path(folder), task="text-classification", do_validation=False)
        except Exception as error:  # whatever the tracing of somebody else's model runs into
            raise ExportError(
                f"{type(module).__name__} cannot be exported to ONNX ({first_line(error)}): export another architecture"
            ) from error
        graph = onnx.load(str(Path(folder) / "model.onnx"))
    if graph.opset_import[0].version < LEAST_OPSET:
        raise ExportError(f"the export has operators of version {graph.opset_import[0].version}: upgrade optimum-onnx")
    return graph


def content_of(graph: Any) -> bytes:
    """The file of a graph. ExportError if it is too large for one."""
    if graph.ByteSize() > LARGEST:
        raise ExportError("the model is larger than the 2 GiB of an ONNX file: choose --precision int8-stored or fp16")
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())


def large_matrices(module: Any) -> set[bytes]:
    """Digests of all matrices of a module that may be stored rounded, as they are and transposed."""
    return {digest(form) for _, values in _matrices(module) for form in (values, values.T)}


def round_weights(module: Any, stored: Sequence[tuple[Matrix, int]]) -> None:
    """Put the weights as stored in the place of the module's own: each matrix that was replaced in the graph."""
    form = {digest(weights): (weights, axis) for weights, axis in stored}
    for parameter, values in _matrices(module):
        for turned in (values, values.T):
            if digest(turned) in form:
                rounded = as_stored(*form[digest(turned)])
                parameter.data = torch.from_numpy(np.ascontiguousarray(rounded if turned is values else rounded.T))
                break


def digest(weights: Matrix) -> bytes:
    """What tells matrices apart: shape and content."""
    return hashlib.blake2b(repr(weights.shape).encode() + np.ascontiguousarray(weights).tobytes()).digest()


def first_line(error: BaseException) -> str:
    """An error's own words, in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def _matrices(module: Any) -> Iterator[tuple[Any, Matrix]]:
    for parameter in module.parameters():
        if parameter.ndim == 2 and parameter.numel() >= LEAST:
            yield parameter, parameter.detach().numpy()


def _read_module(origin: Origin) -> Any:
    try:
        module, report = AutoModelForSequenceClassification.from_pretrained(
            origin.path,
            local_files_only=True,
            trust_remote_code=False,  # code that comes with a model is not run
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except Exception as error:  # the libraries' exceptions have no common base
        raise ExportError(f"{origin.path} cannot be read ({first_line(error)}): download the model again") from error
    if lacking := sorted(report["missing_keys"]):
        raise ExportError(
            f"{origin.path} lacks {len(lacking)} weights of a {origin.architecture}, such as {lacking[0]}: "
            "it was not trained as a classifier, or its files are incomplete"
        )
    return module.eval()


def _read_tokenizer(origin: Origin) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(origin.path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as above
        raise ExportError(f"{origin.path} has no tokenizer that can be read ({first_line(error)})") from error
    if not tokenizer.is_fast:
        raise ExportError(f"{origin.path} has a tokenizer without a tokenizer.json: save a fast one beside the model")
    return tokenizer


def _plain(backend: Tokenizer) -> str:
    """The tokenizer.json of a tokenizer, without the padding and the truncation of its last use."""
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_padding()
    copy.no_truncation()
    return str(copy.to_str())
