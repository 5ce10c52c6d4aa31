"""A newer assignment may come at every await of the one before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from faust.types import TP

from stream.ownership import Ownership
from stream.producer import Producer
from stream.settings import Settings


class Overtaking:
    """Inputs while which are asked for their offsets a newer assignment takes all partitions."""

    def __init__(self) -> None:
        self.ownership: Ownership | None = None
        self.began = False

    async def committed_offsets(self, tps: Iterable[TP]) -> dict[TP, int | None]:
        assert self.ownership is not None
        await self.ownership.claim(set(), set(), 8)
        return dict.fromkeys(tps)

    async def highwaters(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def begin(self, generation: int) -> None:
        self.began = True

    async def commit(self) -> bool:
        return True


class Owned:
    """A partition that is given back."""

    generation = 0

    def close(self) -> None: ...


async def nothing() -> None: ...


def never(error: BaseException) -> None:
    raise AssertionError from error


async def test_an_assignment_that_is_overtaken_while_it_looks_at_offsets_begins_nothing_and_ends_nobody() -> None:
    inputs = Overtaking()
    ownership = Ownership(Settings.load(), cast(Producer, None), cast(Any, None), cast(Any, never), nothing)
    inputs.ownership = ownership
    ownership.partitions = cast(Any, {0: Owned()})
    ownership.claimed = 7
    assert not await ownership.begin(inputs, 7)
    assert (ownership.generation, ownership.claimed, inputs.began) == (0, 8, False)
