"""Shadow experts: scored and learned about, without a vote.

A shadow's advice is in no forecast, so it may not stand in the row of an expert that votes: that row's regret is what
weights are made of, and the potential of `regret.py` only bounds it where the expert had its weight in the forecast.
The moments keep its rounds in a row of their own, of the same sums, named here. So

    to weights and bound a shadow sleeps, and every proof about sleepers holds, however often it comes and goes;
    its losses, and the regret to it, what a vote of its own would have had to win, are read from its own row.

When it begins to vote it goes on from the rounds in which it voted before; from R = 0, as a newcomer, if there are
none. That costs little: a newcomer begins with at least its prior share where labels come at once, and the ensemble
loses to it at most the constant of the bound. A head start from its shadow rounds would have no such price: let it lead
by R before it votes and then always err. The potential has become 1 + pi exp(eta R), so the regret to all others grows
by about R; and sums do not know how often that happened.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SUFFIX: Final = "~shadow"
"""No id of an expert ends so: names and versions are letters, digits, dots, dashes and underscores."""


def shadow_of(expert: str) -> str:
    """The name of the row in which an expert's rounds as a shadow are summed."""
    return expert + SUFFIX


def is_shadow(name: str) -> bool:
    """Whether a row holds rounds in which its expert had no vote."""
    return name.endswith(SUFFIX)


def expert_of(name: str) -> str:
    """The expert whose rounds a row holds."""
    return name.removesuffix(SUFFIX)


def voters_of(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the rows that hold rounds with a vote, in their order."""
    return tuple(name for name in names if not is_shadow(name))


def shadows_of(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the rows that hold rounds without a vote, in their order."""
    return tuple(filter(is_shadow, names))
