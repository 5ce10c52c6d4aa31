"""The shipped encoder on a GPU as others would run it: bare sessions of ONNX Runtime, a pipeline of transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort

from benchmarks.e2e.bare import BareEncoder
from experts.cuda import load_libraries
from experts.errors import DeviceError
from experts.export.halves import halved, unpack
from experts.session import CPU, CUDA

Score = Callable[[list[str]], Sequence[float]]
PIPELINE_BATCH = 128
LAYERS = 6


class BareOnGpu(BareEncoder):
    """All texts sorted by length, in batches of whichever token budget is fastest here."""

    tried = 4000
    budgets = (2048, 4096, 8192, 16384, 32768, 65536)


def models(folder: Path) -> dict[str, bytes]:
    """The encoder by precision, its stored int8 weights unpacked. fp32 is what ONNX Runtime makes of it: it multiplies
    matrices in TF32 where the card can."""
    content = (folder / "model.onnx").read_bytes()
    graph = onnx.load_from_string(content)
    unpack(graph.graph)
    return {"fp32": graph.SerializeToString(), "fp16": halved(content)}


def on_gpu(model: bytes) -> ort.InferenceSession:
    """A session with no option set. DeviceError if it does not run on a GPU."""
    load_libraries()
    session = ort.InferenceSession(model, providers=[CUDA, CPU])
    if CUDA not in session.get_providers():
        raise DeviceError("ONNX Runtime cannot use a GPU here")
    return session


def pipeline(folder: Path) -> Score:
    """A transformers pipeline in fp16 over a model of the encoder's size with random weights: only its speed counts."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>")
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    config = transformers.MPNetConfig(num_hidden_layers=LAYERS, vocab_size=len(tokenizer))
    model = transformers.MPNetForSequenceClassification(config).to("cuda", torch.float16).eval()
    classify: Any = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device=0)

    def score(texts: list[str]) -> list[float]:
        found = classify(texts, batch_size=PIPELINE_BATCH, truncation=True, max_length=128)
        return [each["score"] for each in found]

    return score
