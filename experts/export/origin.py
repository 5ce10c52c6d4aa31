"""What lies in the folder of somebody else's model: which kind it is, and that all is there that an export needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from experts.errors import ExportError

CLASSIFIER: Final = "ForSequenceClassification"
# A causal language model is a guard: it is asked for its verdict.
GUARDS: Final = ("ForCausalLM", "LMHeadModel")
TOKENIZERS: Final = ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "sentencepiece.bpe.model")
# Longer texts than this cost more than they tell; an option raises it up to what the model can read.
MAX_TOKENS: Final = 512
# What the tokenizers of transformers say instead of "no limit".
NO_LIMIT: Final = 10**6


@dataclass(frozen=True, slots=True)
class Origin:
    """A model's folder, its config.json, and what kind of expert it can become."""

    path: Path
    config: Mapping[str, Any]
    kind: Literal["classifier", "guard"]

    @property
    def architecture(self) -> str:
        """The class that made it, such as BertForSequenceClassification."""
        return str(self.config["architectures"][0])

    def licence(self) -> str:
        """What the model's own card says in its first lines, or that it says nothing."""
        card = self.path / "README.md"
        lines = card.read_text("utf-8", "replace").splitlines()[:100] if card.is_file() else []
        found = [line.partition(":")[2].strip() for line in lines if line.startswith("license:")]
        return found[0] if found and found[0] else "not stated"


def inspect(path: Path) -> Origin:
    """The model in a folder. ExportError, in one line, if there is none that can become an expert."""
    config = read_config(path)
    names = config.get("architectures") or ["nothing that it names"]
    kind = kind_of(str(names[0]))
    if kind is None:
        raise ExportError(
            f"{path} holds {names[0]}: only classifiers of sequences (…{CLASSIFIER}) and causal language models "
            f"(…{GUARDS[0]}) can become experts; fine-tune it first with `aegis experts train`"
        )
    origin = Origin(path, config, kind)
    if kind == "classifier":
        _refuse_incomplete(path)
    return origin


def kind_of(architecture: str) -> Literal["classifier", "guard"] | None:
    """What an architecture can become."""
    if architecture.endswith(CLASSIFIER):
        return "classifier"
    return "guard" if architecture.endswith(GUARDS) else None


def read_config(path: Path) -> dict[str, Any]:
    """The config.json of a model's folder. ExportError if it is missing or broken."""
    try:
        config = json.loads((path / "config.json").read_bytes())
    except OSError as error:
        raise ExportError(
            f"{path} holds no model: its config.json cannot be read ({error.strerror}); name the folder "
            "that save_pretrained wrote, or a snapshot of the hub"
        ) from error
    except ValueError as error:
        raise ExportError(f"{path / 'config.json'} is not JSON ({error}): download the model again") from error
    if not isinstance(config, dict):
        raise ExportError(f"{path / 'config.json'} holds no JSON object: download the model again")
    return config


def _refuse_incomplete(path: Path) -> None:
    if not list(path.glob("*.safetensors")):
        pickled = " (weights in pickle files can run code when they are read)" if list(path.glob("*.bin")) else ""
        raise ExportError(f"{path} holds no *.safetensors{pickled}: save the model again with save_pretrained")
    if not any((path / name).is_file() for name in TOKENIZERS):
        raise ExportError(f"{path} holds no tokenizer.json: save the tokenizer beside the model with save_pretrained")
