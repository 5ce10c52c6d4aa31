"""What all contexts together say of each expert: the sums of `weights.v1`, kept as its records come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stream.records import Weights


@dataclass(slots=True)
class _Sum:
    """Over the contexts in which the expert advised on some labelled turn."""

    loss: float = 0.0
    regret: float = 0.0
    rounds: float = 0.0
    contexts: int = 0


class Standings:
    """By expert's name. An id is `name@version`: versions of one expert are summed."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sum] = {}

    def replace(self, before: Weights | None, after: Weights | None) -> None:
        """What is told of a context now, in place of what was told of it before."""
        if before is not None:
            self._add(before, -1)
        if after is not None:
            self._add(after, 1)

    def _add(self, told: Weights, sign: int) -> None:
        rounds = told.rounds - told.since_rounds
        for standing in (*told.experts, *told.shadows):
            if not standing.loss:  # it has not advised there
                continue
            found = self._sums.setdefault(name_of(standing.id), _Sum())
            found.loss += sign * standing.loss
            found.regret += sign * standing.regret
            found.rounds += sign * rounds
            found.contexts += sign

    def told(self) -> dict[str, dict[str, Any]]:
        """Of each expert: its loss a labelled turn of the contexts in which it advises, and the ensemble's regret to
        it there: above 0 the ensemble would have done better to follow it alone."""
        return {
            name: {
                "loss": round(found.loss / found.rounds, 5) if found.rounds > 0 else None,
                "regret": round(found.regret, 3),
                "contexts": found.contexts,
            }
            for name, found in self._sums.items()
            if found.contexts > 0
        }


def name_of(expert: str) -> str:
    """Of an id `name@version`."""
    return expert.partition("@")[0]
