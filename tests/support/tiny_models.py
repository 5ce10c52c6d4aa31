"""Small models with random weights, saved as the hub's are. Needs the extra `train`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from experts.texts import PARAGRAPH, SCRIPTS, SHORT

WIDTH, LAYERS = 32, 2
# Special tokens that the families' models expect, in the order of their ids.
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 64}
DEBERTA = {
    "relative_attention": True,
    "position_buckets": 16,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "type_vocab_size": 0,
    "position_biased_input": False,
}
FAMILIES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "bert": ("Bert", BERT, SIZES),
    "roberta": ("Roberta", ROBERTA, {**SIZES, "type_vocab_size": 1, "max_position_embeddings": 66}),
    "distilbert": ("DistilBert", BERT, {"dim": WIDTH, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": 64}),
    "mpnet": ("MPNet", ROBERTA, SIZES),
    "deberta-v2": ("DebertaV2", BERT, {**SIZES, **DEBERTA}),
    "albert": ("Albert", BERT, {**SIZES, "embedding_size": WIDTH}),
}


def classifier(
    folder: Path,
    family: str = "bert",
    labels: tuple[str, ...] = ("safe", "unsafe"),
    problem: str | None = None,
    seed: int = 7,
    vocabulary: int | None = None,
) -> Any:
    """Saves a classifier of random weights and its tokenizer into `folder`; the module. `vocabulary`: how many tokens
    it embeds, None for as many as its tokenizer has.
    """
    import torch
    import transformers

    # Models this small lose more by waiting for a second thread than it brings, on a busy machine a hundredfold.
    torch.set_num_threads(1)
    prefix, special, sizes = FAMILIES[family]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # DeBERTa's module compiles functions in a way that torch has deprecated
        make = getattr(transformers, f"{prefix}ForSequenceClassification")
    tokenizer = save_tokenizer(folder, special)
    config = getattr(transformers, f"{prefix}Config")(
        **sizes,
        vocab_size=vocabulary or len(tokenizer.get_vocab()),
        pad_token_id=special.index("[PAD]" if special is BERT else "<pad>"),
        initializer_range=0.1,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type=problem,
    )
    torch.manual_seed(seed)
    module = make(config).eval()
    torch.nn.init.normal_(module.get_input_embeddings().weight)  # so that texts differ in their scores
    module.save_pretrained(folder)
    return module


def save_tokenizer(folder: Path, special: tuple[str, ...], size: int = 400) -> Any:
    """A WordPiece tokenizer learned from the built-in texts, which begins and ends a text as the family does."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bert = special is BERT
    roles = dict(zip(("pad", "unk", "cls", "sep", "mask"), BERT if bert else sorted_roberta(), strict=True))
    tokenizer = Tokenizer(models.WordPiece(unk_token=roles["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(special), show_progress=False)
    tokenizer.train_from_iterator([*SHORT, *SCRIPTS, PARAGRAPH], trainer)
    ids = {name: tokenizer.token_to_id(token) for name, token in roles.items()}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{roles['cls']} $A {roles['sep']}",
        pair=f"{roles['cls']} $A {roles['sep']} $B:1 {roles['sep']}:1",
        special_tokens=[(roles["cls"], ids["cls"]), (roles["sep"], ids["sep"])],
    )
    named = {f"{name}_token": token for name, token in roles.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **named).save_pretrained(folder)
    return tokenizer


def sorted_roberta() -> tuple[str, ...]:
    """RoBERTa's special tokens in the order pad, unknown, begin, end, mask."""
    begin, pad, end, unknown, mask = ROBERTA
    return pad, unknown, begin, end, mask


def change_config(folder: Path, **changes: Any) -> None:
    """Writes other values into a saved model's config.json; None takes one out."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
