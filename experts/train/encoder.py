"""Fine-tunes an encoder with heads on the mean of its tokens, for several targets at once. Needs torch.

Seeded and resumable: interrupted, it goes on from its last checkpoint when it is started again with the same recipe.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from experts.base import Passage
from experts.batching import plan
from experts.tokenization import encode_cut, reading
from experts.train.backbones import open_encoder
from experts.train.run import Run, device, finish

# Texts: an encoding takes kilobytes until its ids are taken out of it.
ENCODED_TOGETHER: Final = 256
# Padded tokens in a batch when nothing is learned.
SCORED_TOGETHER: Final = 4096


# Rows are padded to a multiple of this: every new shape of a product is planned anew, and its plan kept (many gigabytes
# for a thousand shapes).
STEP: Final = 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """What, with the data, determines the weights (to the last bits of a sum, which depend on the machine)."""

    seed: int = 20
    epochs: int = 2
    tokens_per_batch: int = 2048
    learning_rate: float = 5e-5
    head_learning_rate: float = 1e-3
    warm_up: float = 0.06
    weight_decay: float = 0.01
    max_tokens: int = 192
    layers: int | None = None
    frozen: int = 0
    scale: float = 1.0


class Taught(Protocol):
    """A passage with float32[C] targets and float32[C] weights; weight 0: nothing is known."""

    @property
    def passage(self) -> Passage: ...
    @property
    def targets(self) -> npt.NDArray[np.float32]: ...
    @property
    def weights(self) -> npt.NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Row:
    """An encoded passage; targets and weights are empty when nothing is learned."""

    ids: Sequence[int]
    types: Sequence[int]
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


NOTHING: Final = np.zeros(0, np.float32)


class Encoder(nn.Module):  # type: ignore[misc]  # torch is an extra: its types are not read
    """An encoder and the mean over its tokens: `features` float32[N, D]."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body
        self.typed = getattr(body.config, "type_vocab_size", 1) > 1

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """int64[N, T] each -> float32[N, D]; token types for encoders that have them."""
        more = {"token_type_ids": token_type_ids} if self.typed else {}
        hidden = self.body(input_ids, attention_mask, **more).last_hidden_state.float()
        mask = attention_mask.unsqueeze(-1).float()
        mean: Tensor = (hidden * mask).sum(1) / mask.sum(1)
        return mean


class Head(nn.Module):  # type: ignore[misc]
    """One hidden layer over the features: logits float32[N, C]."""

    def __init__(self, features: int, columns: int, hidden: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, columns))

    def forward(self, features: Tensor) -> Tensor:
        """float32[N, D] -> float32[N, C]."""
        logits: Tensor = self.layers(features)
        return logits


class Model(nn.Module):  # type: ignore[misc]
    """An encoder with named heads, whose columns stand side by side in the order of the names."""

    def __init__(self, encoder: Encoder, columns: dict[str, int]) -> None:
        super().__init__()
        self.encoder = encoder
        size = encoder.body.config.hidden_size
        self.heads = nn.ModuleDict({name: Head(size, count) for name, count in columns.items()})

    def forward(self, *inputs: Tensor) -> Tensor:
        """float32[N, C] over the columns of all heads."""
        features = self.encoder(*inputs)
        return torch.cat([head(features) for head in self.heads.values()], dim=1)


def new_model(folder: Path, recipe: Recipe, columns: dict[str, int]) -> Model:
    """The pre-trained encoder of a folder under fresh heads."""
    torch.manual_seed(recipe.seed)
    return Model(Encoder(open_encoder(folder, recipe.layers, recipe.frozen)), columns)


def encoded(passages: Sequence[Passage], tokenizer: Tokenizer, max_tokens: int) -> list[Row]:
    """The rows of passages, as the serving side reads and encodes them."""
    readings = [reading(passage, max_tokens, history=True) for passage in passages]
    return [
        Row(encoding.ids, encoding.type_ids, NOTHING, NOTHING)
        for start in range(0, len(readings), ENCODED_TOGETHER)
        for encoding in encode_cut(tokenizer, readings[start : start + ENCODED_TOGETHER], max_tokens)
    ]


def taught(lessons: Sequence[Taught], tokenizer: Tokenizer, max_tokens: int) -> list[Row]:
    """Encoded rows with what they teach."""
    rows = encoded([lesson.passage for lesson in lessons], tokenizer, max_tokens)
    return [Row(r.ids, r.types, one.targets, one.weights) for r, one in zip(rows, lessons, strict=True)]


def tensors(rows: Sequence[Row], pad: int, typed: bool) -> tuple[Tensor, ...]:
    """Input ids, attention mask and, for an encoder that has them, token types, int64[N, longest padded]."""
    shape = len(rows), max(map(steps_of, rows)) * STEP
    ids = torch.full(shape, pad)
    mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
    for index, row in enumerate(rows):
        length = len(row.ids)
        ids[index, :length] = torch.tensor(row.ids)
        types[index, :length] = torch.tensor(row.types)
        mask[index, :length] = 1
    return (ids, mask, types) if typed else (ids, mask)


def batches(rows: Sequence[Row], recipe: Recipe, epoch: int) -> list[list[Row]]:
    """The epoch's batches: rows of about one length together, as many as fit when padded; all at random."""
    chance = random.Random(f"{recipe.seed}/{epoch}")
    ordered = sorted(rows, key=lambda row: (steps_of(row), chance.random()))
    result: list[list[Row]] = [[]]
    for row in ordered:
        if result[-1] and (len(result[-1]) + 1) * steps_of(row) * STEP > recipe.tokens_per_batch:
            result.append([])
        result[-1].append(row)
    chance.shuffle(result)
    return result


def steps_of(row: Row) -> int:
    """The padded length of a row, in steps."""
    return -(-len(row.ids) // STEP)


def fingerprint(rows: Sequence[Row]) -> str:
    """A digest of the rows and their order, so that a checkpoint is not continued on other data."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(np.asarray([*row.ids, -1, *row.types], np.int64).tobytes())
        digest.update(row.targets.tobytes() + row.weights.tobytes())
    return digest.hexdigest()


class Training(Run[Row]):
    """One run of an encoder with heads."""

    def __init__(self, recipe: Recipe, model: Model, rows: Sequence[Row], pad: int, checkpoint: Path) -> None:
        self.pad = pad
        learner = model.to(device())
        body = [parameter for parameter in model.encoder.parameters() if parameter.requires_grad]
        heads: dict[str, Any] = {"params": list(model.heads.parameters()), "lr": recipe.head_learning_rate}
        optimiser = torch.optim.AdamW(
            [{"params": body}, heads], lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        steps = [batch for epoch in range(recipe.epochs) for batch in batches(rows, recipe, epoch)]
        identity = {"recipe": asdict(recipe), "data": fingerprint(rows)}
        super().__init__(learner, optimiser, steps, recipe.warm_up, identity, checkpoint)

    def backward(self, rows: Sequence[Row]) -> float:
        """Add the gradients of one step; the mean loss before it."""
        inputs = [value.to(self.device) for value in tensors(rows, self.pad, self.model.encoder.typed)]
        targets = torch.from_numpy(np.stack([row.targets for row in rows])).to(self.device)
        weights = torch.from_numpy(np.stack([row.weights for row in rows])).to(self.device)
        # bfloat16 in the products only: twice as fast where the processor has it, with fp32 weights and sums.
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.model(*inputs)
        loss = mean_loss(logits.float(), targets, weights)
        loss.backward()
        return float(loss.detach())


def mean_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy float32[N, C], weighted, summed over the columns and averaged over the rows."""
    losses = nn.functional.binary_cross_entropy_with_logits(logits, targets, weights, reduction="none")
    mean: Tensor = losses.sum(1).mean()
    return mean


def train(recipe: Recipe, model: Model, rows: Sequence[Row], pad: int, checkpoint: Path) -> Model:
    """The trained model, from the checkpoint on if there is one, with a progress bar."""
    training = Training(recipe, model, rows, pad, checkpoint)
    finish(training)
    trained: Model = training.model.to("cpu").eval()
    return trained


def logits(model: Model, rows: Sequence[Row], pad: int) -> npt.NDArray[np.float32]:
    """The model's own logits, float32[N, C]."""
    columns = sum(head.layers[-1].out_features for head in model.heads.values())
    result = np.empty((len(rows), columns), np.float32)
    with torch.no_grad():
        for batch in plan([len(row.ids) for row in rows], SCORED_TOGETHER):
            chosen = [rows[index] for index in batch]
            result[batch] = model.eval()(*tensors(chosen, pad, model.encoder.typed)).numpy()
    return result
