"""Reads a Llama-family language model from disk as numbers and weights, adapters merged, and asks it what an exported
guard is compared with. Needs the extra `train`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer

from experts.errors import ExportError
from experts.export.guard_graph import Array, Shape
from experts.export.storage import as_stored

# Those whose layers are the ones of `experts.export.guard_graph`.
FAMILIES: Final = ("llama", "mistral", "qwen2")
# Their rotary frequencies do not depend on the length of what is read.
ROTATIONS: Final = ("default", "linear", "llama3", "yarn")


def load_model(path: Path, lora: Path | None = None) -> Any:
    """The causal language model of a folder in fp32, with the adapters of `lora` merged into its weights.

    It takes four bytes of memory a parameter. ExportError if it is of another family or does not load.
    """
    refuse_other_family(read_config(path))
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=torch.float32, local_files_only=True, use_safetensors=True, attn_implementation="sdpa"
        )
        return model.eval() if lora is None else merged(model, lora).eval()
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ExportError(f"{path} does not load ({reason}): save it again with save_pretrained") from error


def merged(model: Any, lora: Path) -> Any:
    """The model with the adapters of a folder in its weights. ExportError if they are not for this model."""
    from peft import PeftModel

    if not (lora / "adapter_config.json").is_file():
        raise ExportError(f"{lora} holds no adapters: name the folder with adapter_config.json")
    return PeftModel.from_pretrained(model, lora, local_files_only=True).merge_and_unload()


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a folder. ExportError if it holds none that `tokenizers` can use."""
    try:
        slow_or_fast = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
        return Tokenizer.from_str(slow_or_fast.backend_tokenizer.to_str())
    except (OSError, ValueError, AttributeError) as error:
        raise ExportError(
            f"{path} holds no tokenizer that can be used ({str(error).splitlines()[0]}): "
            "save a fast one beside the model, so that there is a tokenizer.json"
        ) from error


def without_special(tokenizer: Tokenizer) -> str:
    """The tokenizer file with every added token marked as special: the reader of turns then knows none of them."""
    content = json.loads(tokenizer.to_str())
    for token in content["added_tokens"]:
        token["special"] = True
    return json.dumps(content, ensure_ascii=False)


def read_config(path: Path) -> Any:
    """The configuration of a model's folder. ExportError if there is none."""
    try:
        return transformers.AutoConfig.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ExportError(f"{path} holds no model ({reason}): name the folder that save_pretrained wrote") from error


def refuse_other_family(config: Any) -> None:
    """ExportError if the graph that we write would not be the model's."""
    rotation = (getattr(config, "rope_scaling", None) or {}).get("rope_type", "default")
    if config.model_type not in FAMILIES:
        raise ExportError(
            f"a guard of the family {config.model_type!r} cannot be exported, only {', '.join(FAMILIES)}: "
            "its layers are of another kind"
        )
    if config.hidden_act not in ("silu", "swish") or rotation not in ROTATIONS:
        raise ExportError(
            f"a guard with the activation {config.hidden_act!r} and the positions {rotation!r} cannot be exported, "
            f"only silu and {', '.join(ROTATIONS)}"
        )


def longest(config: Any) -> int:
    """How many tokens the model can read such that its graph is ours: its positions, and its window if it has one."""
    window = config.sliding_window if getattr(config, "use_sliding_window", hasattr(config, "sliding_window")) else None
    return int(min(config.max_position_embeddings, window or config.max_position_embeddings))


def shape_of(model: Any) -> Shape:
    """The model in numbers."""
    config, rotary = model.config, model.model.rotary_emb
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        groups=config.num_key_value_heads,
        size=size,
        epsilon=config.rms_norm_eps,
        frequencies=rotary.inv_freq.float().numpy(),
        stretch=float(rotary.attention_scaling),
    )


class ModelWeights:
    """A model's weights by name, as `experts.export.guard_graph` asks for them."""

    def __init__(self, model: Any) -> None:
        self._weights = model.state_dict()
        if model.config.tie_word_embeddings:
            self._weights.pop("lm_head.weight", None)

    def __call__(self, name: str) -> Array | None:
        found = self._weights.get(name)
        return None if found is None else found.detach().numpy()

    def parameters(self) -> int:
        """How many numbers they are."""
        return sum(int(weights.numel()) for weights in self._weights.values())

    def round(self) -> None:
        """Make the model's matrices what they are after they were stored as int8, to be compared with."""
        for weights in self._weights.values():
            if weights.ndim == 2:
                weights.copy_(torch.from_numpy(as_stored(weights.numpy(), 0)))


def reference(model: Any, prompts: Sequence[Sequence[int]], verdicts: tuple[int, int]) -> tuple[Array, Array]:
    """What PyTorch says after each prompt, which is read as a whole: the verdicts' logits, float32[N, 2], and the
    largest of the vocabulary, float32[N].
    """
    pairs, best = np.empty((len(prompts), 2), np.float32), np.empty(len(prompts), np.float32)
    with torch.inference_mode():
        for row, prompt in enumerate(prompts):
            logits = model(torch.tensor([list(prompt)]), use_cache=False, logits_to_keep=1).logits[0, -1].float()
            pairs[row], best[row] = logits[list(verdicts)].numpy(), float(logits.max())
    return pairs, best
