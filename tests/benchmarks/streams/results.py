"""What was measured, as it is kept in JSON: numbers and names, no text."""

from __future__ import annotations

from msgspec import Struct


class Stretch(Struct, frozen=True):
    """One rule in one phase, from so many labels after its start to its end."""

    phase: str
    turns: int
    """0 where the phase has too few labels; then all below is None."""
    loss: float | None = None
    """Mean Brier loss a turn."""
    best: str | None = None
    """The expert with the least loss over the same turns, of those awake in all of them."""
    best_loss: float | None = None

    @property
    def excess(self) -> float | None:
        """How far the loss is above the best expert's, as a share of it."""
        return None if self.loss is None or self.best_loss is None else self.loss / self.best_loss - 1.0


class Outcome(Struct, frozen=True):
    """One rule on one stream."""

    course: str
    rate: float
    seed: int
    rule: str
    turns: int
    """On which it said something."""
    loss: float
    """Mean Brier loss over them."""
    auprc: float
    stretches: tuple[Stretch, ...]


class Results(Struct, frozen=True):
    """One benchmark: where, with what, and every outcome."""

    at: str
    command: str
    versions: dict[str, str]
    experts: tuple[str, ...]
    sets: dict[str, int]
    """Labelled rows of each."""
    caution: int
    """Rows that are needs_caution."""
    spacing: float
    """Seconds of event time between turns, unless a rule says otherwise."""
    after: int
    """Labels of a phase after which a stretch begins."""
    long_turns: int
    """Turns of each phase of the long stream."""
    outcomes: tuple[Outcome, ...]
