"""Teaches a guard with LoRA: the weights stay as they are, and small matrices beside them learn. Needs torch and peft.

It learns to answer each prompt, as it is served, with one of the two verdicts and nothing else. Seeded and resumable:
interrupted, it goes on from its last checkpoint when it is started again with the same recipe, data and base.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021 (arXiv 2106.09685).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import peft
import torch
from torch import Tensor

from experts.errors import TrainingError
from experts.export.guard_model import load_model, load_tokenizer, longest
from experts.export.guard_store import TRAINED
from experts.guard_policy import Policy
from experts.guard_prompt import GuardReader, Prompt, make_prompt
from experts.train.run import Run, device, finish
from experts.train.turns import Lesson, read_lessons

CHECKPOINT: Final = "guard.pt"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What, with base and data, determines the adapters (to the last bits of a sum, which depend on the machine).

    `together` prompts are read at once and `rows_per_step` make a step; `rank` is that of the adapters, which are
    multiplied by `alpha` / `rank`.
    """

    seed: int = 20
    epochs: int = 1
    rows_per_step: int = 16
    together: int = 4
    learning_rate: float = 1e-4
    warm_up: float = 0.06
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    max_tokens: int = 512
    modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Row:
    """A whole prompt in token ids, and how likely its verdict is to be unsafe."""

    ids: Sequence[int]
    unsafe: float


def train_guard(
    base: Path,
    data: Path,
    out: Path,
    *,
    reading: Policy = "permissive",
    recipe: Recipe | None = None,
    policy: str | None = None,
    style: str | None = None,
    work: Path = Path(".aegis/train"),
) -> int:
    """Write the adapters that make a guard of the causal language model in `base`, learned from the turns in `data`, to
    the folder `out`; how many turns they were. `aegis experts add BASE --lora OUT` makes an expert of them.

    A checkpoint is kept in `work` until they are written. TrainingError or ExportError, each in one line.
    """
    recipe = recipe or Recipe()
    lessons, tokenizer = read_lessons(data, reading), load_tokenizer(base)
    prompt = make_prompt(tokenizer, reading, policy, style)
    rows = rows_of(lessons, GuardReader(tokenizer, prompt, recipe.max_tokens, history=True))
    model = load_model(base)
    if (most := max(len(row.ids) for row in rows)) > longest(model.config):
        raise TrainingError(
            f"a prompt takes {most} tokens, the model reads {longest(model.config)}: allow fewer tokens a turn"
        )
    training = Training(recipe, model, rows, prompt, work / CHECKPOINT)
    finish(training)
    out.mkdir(parents=True, exist_ok=True)
    training.model.save_pretrained(out)
    told = {"reading": reading, "policy": policy, "style": style, "recipe": asdict(recipe), "turns": len(rows)}
    (out / TRAINED).write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
    training.checkpoint.unlink()
    return len(rows)


def rows_of(lessons: Sequence[Lesson], reader: GuardReader) -> list[Row]:
    """The prompts of lessons, as they are served."""
    conversations = reader.encode([lesson.passage for lesson in lessons])
    return [
        Row((*reader.prompt.instructions[row.judged], *row.ids), lesson.unsafe)
        for row, lesson in zip(conversations, lessons, strict=True)
        if len(row)
    ]


def fingerprint(rows: Sequence[Row], model: Any) -> str:
    """A digest of rows, their order and the base's weights, so that a checkpoint is not continued on others."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(np.asarray([*row.ids, -1], np.int64).tobytes() + np.float64(row.unsafe).tobytes())
    for name, weights in sorted(model.state_dict().items()):
        # The sum of a matrix tells one base from another, and takes a second where its bytes take a minute.
        digest.update(f"{name} {tuple(weights.shape)} {float(weights.double().sum())!r}".encode())
    return digest.hexdigest()


class Training(Run[Row]):
    """One run of a model with adapters, which alone learn."""

    def __init__(self, recipe: Recipe, model: Any, rows: Sequence[Row], prompt: Prompt, checkpoint: Path) -> None:
        self.together, self.verdicts = recipe.together, (prompt.safe, prompt.unsafe)
        identity = {"recipe": msgspec.to_builtins(asdict(recipe)), "data": fingerprint(rows, model)}
        torch.manual_seed(recipe.seed)
        learner = adapted(model, recipe).to(device())
        parameters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.0)
        steps = [step for epoch in range(recipe.epochs) for step in steps_of(rows, recipe, epoch)]
        super().__init__(learner, optimiser, steps, recipe.warm_up, identity, checkpoint)

    def learned(self) -> Mapping[str, Any]:
        """The adapters alone: the base is on disk already."""
        adapters: Mapping[str, Any] = peft.get_peft_model_state_dict(self.model)
        return adapters

    def put_back(self, weights: Mapping[str, Any]) -> None:
        """Set the adapters."""
        peft.set_peft_model_state_dict(self.model, weights)

    def backward(self, rows: Sequence[Row]) -> float:
        """Add the gradients of one step, `together` prompts at a time; the mean loss before it."""
        total = 0.0
        for start in range(0, len(rows), self.together):
            loss = self.loss(rows[start : start + self.together]) / len(rows)
            loss.backward()
            total += float(loss.detach())
        return total

    def loss(self, rows: Sequence[Row]) -> Tensor:
        """Cross-entropy of the next token over the whole vocabulary, summed over the rows: the annotators' shares are
        what the two verdicts should have, and every other token nothing.
        """
        inner = self.model.get_base_model()
        ids, mask, last = (value.to(self.device) for value in tensors(rows))
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            hidden = inner.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            logits = inner.lm_head(hidden[torch.arange(len(rows), device=self.device), last])
        likely = torch.log_softmax(logits.float(), dim=1)[:, list(self.verdicts)]
        unsafe = torch.tensor([row.unsafe for row in rows], device=self.device)
        loss: Tensor = -(torch.stack([1 - unsafe, unsafe], dim=1) * likely).sum()
        return loss


def adapted(model: Any, recipe: Recipe) -> Any:
    """The model with fresh adapters, which alone can learn."""
    config = peft.LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.modules),
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, config)


def steps_of(rows: Sequence[Row], recipe: Recipe, epoch: int) -> list[list[Row]]:
    """The epoch's steps: all rows in random order."""
    order = random.Random(f"{recipe.seed}/{epoch}").sample(range(len(rows)), len(rows))
    return [
        [rows[index] for index in order[start : start + recipe.rows_per_step]]
        for start in range(0, len(order), recipe.rows_per_step)
    ]


def tensors(rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """Input ids and attention mask, int64[N, longest], and where each row ends, int64[N]."""
    ids = torch.zeros((len(rows), max(len(row.ids) for row in rows)), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = torch.tensor(row.ids)
        mask[index, : len(row.ids)] = 1
    return ids, mask, mask.sum(1) - 1
