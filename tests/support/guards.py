"""Guards of a few thousand parameters with random weights, made on the spot, and the tokenizer that they read with."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

LLAMA3 = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
TEXTS = (
    "Task: Check if there is unsafe content in the messages of conversations according to our safety policy.",
    "Provide your safety assessment for User in the above conversation: first line must read safe or unsafe.",
    "The lighthouse keeper wrote the weather down every morning and fed the hens in the afternoon.",
    "Agent: how are you today? User: I am well, thank you. safe unsafe safe unsafe safe unsafe",
)


def byte_level(special: tuple[str, ...] = LLAMA3, size: int = 400) -> Tokenizer:
    """A byte-level BPE, as Llama 3 and Qwen have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 20, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


def sentencepiece() -> Tokenizer:
    """A BPE with a space before every text and bytes for what it does not know, as Llama 2 has it."""
    alphabet = [*(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>", "<s>", "</s>", *alphabet[:-1]], show_progress=False
    )
    # Merges must not span words, as SentencePiece's do not: it learns from the words one by one.
    words = [word for text in TEXTS * 20 for word in text.split()]
    tokenizer.train_from_iterator(words, trainer)
    # The bytes are ordinary tokens, the three others special ones.
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if not token["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(content))


def causal_model(family: str = "llama", vocabulary: int = 500, seed: int = 0, **changes: Any) -> Any:
    """A random model of a family: two layers, four heads in two groups."""
    import torch
    import transformers

    torch.manual_seed(seed)
    kinds = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2"}
    numbers = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.2,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config = getattr(transformers, f"{kinds[family]}Config")(**numbers | changes)
    model = getattr(transformers, f"{kinds[family]}ForCausalLM")(config).eval()
    # Norms and biases that are all ones and zeros would hide a mistake about them.
    for name, parameter in model.named_parameters():
        if name.endswith(("norm.weight", "layernorm.weight", "bias")):
            torch.nn.init.normal_(parameter, mean=float(not name.endswith("bias")), std=0.1)
    return model


def decided(model: Any) -> Any:
    """The model made to answer with one of the two verdicts whatever it reads: all other logits are 0, and those of the
    two are opposite numbers. Its tokenizer is `byte_level()`.
    """
    import torch

    tokenizer = byte_level()
    safe, unsafe = (tokenizer.encode(word).ids[0] for word in ("safe", "unsafe"))
    with torch.no_grad():
        row = model.lm_head.weight[unsafe].clone()
        model.lm_head.weight.zero_()
        model.lm_head.weight[unsafe], model.lm_head.weight[safe] = row, -row
    return model


def save_guard(folder: Path, model: Any, tokenizer: Tokenizer) -> Path:
    """The model and its tokenizer as `save_pretrained` writes them; the folder."""
    from transformers import PreTrainedTokenizerFast

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder
