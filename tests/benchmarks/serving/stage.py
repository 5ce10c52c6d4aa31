"""What every contestant gets: one model in fp32, as PyTorch and as ONNX, and one list of texts."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from experts.progress import silent

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "datasets" / "dev" / "hh_rlhf_harmless_test" / "data.jsonl.gz"
CONVERSATIONS = ROOT / "stream" / "demo" / "conversations.jsonl"
MAX_TOKENS = 128
LOCK = ROOT / "deploy" / "requirements" / "bench-infinity.txt"
SEED = 7


@dataclass(frozen=True)
class Stage:
    """Folders and files of one benchmark."""

    pytorch: Path
    expert: Path
    texts: Path
    tokens: float
    """Mean tokens a text."""


def prepare(folder: Path, count: int, data: Path | None) -> Stage:
    """The model is MiniLM-L6 with two labels and a head of seeded random weights: how fast it runs is all that counts
    here. Texts longer than it reads are left out, since not every contestant cuts them alike."""
    from experts.export.classifier import add_classifier
    from experts.export.origin import inspect
    from experts.export.wish import Wish

    pytorch, expert, texts = folder / "pytorch", folder / "minilm", folder / "texts.json"
    _save_model(pytorch)
    expert.mkdir()
    add_classifier(inspect(pytorch), expert, Wish("minilm", "fp32", max_tokens=MAX_TOKENS), silent)
    (pytorch / "onnx").mkdir()
    shutil.copy(expert / "model.onnx", pytorch / "onnx" / "model.onnx")
    tokenizer = Tokenizer.from_file(str(expert / "tokenizer.json"))
    tokenizer.no_padding()
    chosen, tokens = sample(tokenizer, list(read(data)), count)
    texts.write_text(json.dumps(chosen))
    return Stage(pytorch, expert, texts, tokens)


def read(data: Path | None) -> Iterator[str]:
    """The last turn of each conversation of the data set; without it, the turns of the demonstration."""
    if data is not None:
        with gzip.open(data, "rt") as lines:
            for line in lines:
                yield json.loads(line)["turns"][-1]["text"]
    else:
        for line in CONVERSATIONS.read_text().splitlines():
            yield from (turn["text"] for turn in json.loads(line)["turns"])


def sample(tokenizer: Tokenizer, texts: list[str], count: int) -> tuple[list[str], float]:
    """`count` of the texts that the model reads whole, always the same ones, and their mean tokens."""
    draws = random.Random(SEED)
    draws.shuffle(texts)
    fitting = []
    for text in texts:
        if text.strip() and len(tokenizer.encode(text)) <= MAX_TOKENS:
            fitting.append(text)
        if len(fitting) == count:
            break
    while len(fitting) < count:
        fitting.append(draws.choice(fitting))
    return fitting, sum(len(tokenizer.encode(text)) for text in fitting) / count


def _save_model(folder: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, logging

    from experts.train.backbones import MINILM, base_folder

    logging.set_verbosity_error()
    torch.manual_seed(SEED)
    names = {0: "safe", 1: "unsafe"}
    model = AutoModelForSequenceClassification.from_pretrained(
        base_folder(MINILM), num_labels=2, id2label=names, label2id={name: number for number, name in names.items()}
    )
    model.save_pretrained(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = AutoTokenizer.from_pretrained(base_folder(MINILM))
    tokenizer.model_max_length = MAX_TOKENS
    tokenizer.save_pretrained(folder)


def environment(folder: Path, uv: Path, python: Path) -> Path:
    """The Python of an environment with the locked infinity-emb; made once (some minutes), kept in `folder`."""
    made, stamp = folder / "bin" / "python", folder / "lock"
    if not stamp.exists() or stamp.read_bytes() != LOCK.read_bytes():
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", python, folder], check=True)
        install = f"pip install --quiet --require-hashes --no-deps --python {made} -r {LOCK}"
        subprocess.run([uv, *install.split()], check=True)
        shutil.copy(LOCK, stamp)
    return made
