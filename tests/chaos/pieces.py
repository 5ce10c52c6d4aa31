"""The pieces of a long command: each a run of its own, whose result is kept, so that an interrupted one goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from chaos.plan import BROKERS, Deed

STORES: Final = ("rocksdict", "memory")
STORED: Final = frozenset({"disk", "everything"})
"""Scenarios that need a state on disk."""


class Piece(NamedTuple):
    """One run, by all that it depends on."""

    scenario: str
    seed: int
    store: str
    turns: int
    labels: int


BAR: Final[Mapping[str, tuple[frozenset[Deed], int]]] = {
    "SIGKILLs to workers": (frozenset({Deed.KILL}), 100),
    "pauses past the session": (frozenset({Deed.PAUSE}), 20),
    "broker restarts": (BROKERS, 10),
    "partition growths": (frozenset({Deed.GROW}), 5),
}
"""What a full command must do at least, beside these turns and labels."""
BAR_TURNS: Final = 100_000
BAR_LABELS: Final = 30_000
FULL: Final = (
    ("killed", 2, 8_000, 2_400),
    ("paused", 2, 6_000, 1_800),
    ("scaled", 1, 6_000, 1_800),
    ("storm", 1, 10_000, 3_000),
    ("rebalances", 1, 5_000, 1_500),
    ("brokers", 1, 5_000, 1_500),
    ("cluster", 1, 5_000, 1_500),
    ("network", 1, 5_000, 1_500),
    ("disk", 1, 5_000, 1_500),
    ("clock", 1, 5_000, 1_500),
    ("experts", 1, 5_000, 1_500),
    ("poison", 1, 6_000, 1_800),
    ("growth", 2, 6_000, 1_800),
    ("versions", 1, 5_000, 1_500),
    ("everything", 2, 8_000, 2_400),
)
"""Scenario, runs, turns and labels of each run: together they pass the bar."""


def full(seed: int) -> list[Piece]:
    """The pieces of a full command, in the order in which they run."""
    pieces = []
    for name, runs, turns, labels in FULL:
        for number in range(runs):
            pieces.append(Piece(name, seed + number, store_of(name, seed + number), turns, labels))
    return pieces


def store_of(scenario: str, number: int) -> str:
    """Both in turn, where the scenario allows."""
    return STORES[0] if scenario in STORED else STORES[number % len(STORES)]
