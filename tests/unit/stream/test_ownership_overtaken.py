"""A newer assignment may come at every await of the one before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from faust.types import TP

from stream.ownership import Ownership
from stream.settings import Settings
from stream.topics import TopicNames


class Overtaking:
    """Inputs while which are asked for their offsets a newer assignment takes all partitions."""

    def __init__(self) -> None:
        self.ownership: Ownership | None = None
        self.began = False

    async def committed_offsets(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        assert self.ownership is not None
        self.ownership.partitions.clear()  # as `claim` does for the newer one
        self.ownership.claimed = 8
        return dict.fromkeys(tps)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def begin(self, generation: int) -> None:
        self.began = True

    async def commit(self) -> bool:
        return True


async def nothing() -> None: ...


async def test_an_assignment_that_is_overtaken_while_it_looks_at_offsets_begins_nothing_and_ends_nobody() -> None:
    inputs = Overtaking()
    ownership = inputs.ownership = Ownership.__new__(Ownership)  # of all that it needs, `begin` needs this
    ownership._names, ownership._prepare = TopicNames.of(Settings.load()), nothing
    ownership.partitions, ownership.generation, ownership.claimed = cast(Any, {0: None}), 0, 7
    assert not await ownership.begin(inputs, 7)
    assert (ownership.generation, ownership.claimed, inputs.began) == (0, 8, False)
