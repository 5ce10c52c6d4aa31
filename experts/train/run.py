"""A training run that is seeded and resumable: interrupted, it goes on from its last checkpoint when it is started
again with the same recipe and data. Needs torch.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import torch
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from torch import nn

from experts.errors import TrainingError

CHECKPOINT_EVERY: Final = 120.0
"""Seconds: what an interruption costs at most."""
SMOOTHING: Final = 0.02
"""Of the loss that is shown: single batches jump."""

Row = TypeVar("Row")


def device() -> str:
    """Where training runs."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class Run(ABC, Generic[Row]):
    """A model on `device()`, its optimiser, the rows of each step, and how far it has come."""

    def __init__(
        self,
        model: Any,
        optimiser: Any,
        steps: Sequence[Sequence[Row]],
        warm_up: float,
        identity: Mapping[str, Any],
        checkpoint: Path,
    ) -> None:
        """`warm_up` is the share of the steps in which the learning rate rises; `identity` says, in JSON's types, what
        determines the weights. TrainingError if there is a checkpoint of another one.
        """
        self.model, self.optimiser, self.steps = model, optimiser, steps
        self.identity, self.checkpoint, self.device = dict(identity), checkpoint, device()
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule(warm_up, len(steps)))
        self.step = 0
        self._resume()

    @abstractmethod
    def backward(self, rows: Sequence[Row]) -> float:
        """Add the gradients of one step; the mean loss before it."""

    def learned(self) -> Mapping[str, Any]:
        """The weights that learn, as they are kept in a checkpoint."""
        weights: Mapping[str, Any] = self.model.state_dict()
        return weights

    def put_back(self, weights: Mapping[str, Any]) -> None:
        """Set the weights that learn to those of a checkpoint."""
        self.model.load_state_dict(weights)

    def learn(self) -> float:
        """The next step; the mean loss before it."""
        loss = self.backward(self.steps[self.step])
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.scheduler.step()
        self.step += 1
        return loss

    def losses(self) -> Iterator[float]:
        """Train to the end, yielding each step's loss, with a checkpoint every now and then and at the end."""
        self.model.train()
        saved = time.monotonic()
        while self.step < len(self.steps):
            yield self.learn()
            if time.monotonic() - saved > CHECKPOINT_EVERY or self.step == len(self.steps):
                self.save()
                saved = time.monotonic()

    def save(self) -> None:
        """Write the checkpoint beside the old one, then put it in its place."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "identity": self.identity,
            "step": self.step,
            "weights": self.learned(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.device == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state()
        half_written = self.checkpoint.with_suffix(".partial")
        torch.save(state, half_written)
        half_written.replace(self.checkpoint)

    def _resume(self) -> None:
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        if state["identity"] != self.identity:
            raise TrainingError(f"{self.checkpoint} is of another recipe, data or base: delete it to start anew")
        self.put_back(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["random"].cpu())
        if self.device == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"].cpu())
        self.step = state["step"]


def schedule(warm_up: float, steps: int) -> Any:
    """The learning rate's factor at a step: linear up, then linear down to nothing."""
    rise = max(1, int(warm_up * steps))
    return lambda step: min((step + 1) / rise, max(0.0, (steps - step) / max(1, steps - rise)))


def finish(run: Run[Any]) -> None:
    """Train to the end with a progress bar on standard error."""
    columns = (*Progress.get_default_columns(), TimeElapsedColumn(), TextColumn("loss {task.fields[loss]:.4f}"))
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=2) as progress:
        task = progress.add_task("training", total=len(run.steps), completed=run.step, loss=float("nan"))
        smooth: float | None = None
        for loss in run.losses():
            smooth = loss if smooth is None else smooth + SMOOTHING * (loss - smooth)
            progress.update(task, completed=run.step, loss=smooth)
