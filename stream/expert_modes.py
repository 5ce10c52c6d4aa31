"""What operators want of each expert, as it stands in `experts.v1`, and who is asked and who votes because of it. Pure.

An expert that the settings name is enabled, any other is not asked, unless a record says otherwise. All workers with
the same settings make the same of the same records, whenever they read them, also when the wishes together would leave
nobody to vote: then the newest of them are not followed."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from experts.manifest import PLAIN_NAME
from stream.codecs import UNREADABLE
from stream.records import ExpertMode, ModeName
from stream.unread import Unread

ENABLED: Final = "enabled"
DISABLED: Final = "disabled"
SHADOW: Final = "shadow"

LONGEST_NAME: Final = 128
"""Characters of an expert's name in a record: it is logged, and becomes a metric's label."""

_modes = msgspec.json.Decoder(ExpertMode)


@dataclass(frozen=True, slots=True)
class Wish:
    """The newest record of one expert. `place`: its offset and partition, by which wishes are older or newer."""

    mode: ModeName
    place: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Lineup:
    """The experts that are asked, in the order of their columns, with their modes; `unmet`: wishes that are not
    followed, since nobody would vote."""

    modes: Mapping[str, ModeName]
    unmet: frozenset[str] = frozenset()

    @property
    def voters(self) -> tuple[str, ...]:
        """The names of those that vote."""
        return tuple(name for name, mode in self.modes.items() if mode == ENABLED)


@dataclass(slots=True)
class Wishes:
    """The newest wish for each expert by name, from records read in any number of passes."""

    wishes: dict[str, Wish] = field(default_factory=dict)
    unreadable: int = 0
    """Records whose key is no expert's name or whose value is no mode."""
    _unread: Unread = field(default_factory=Unread)

    def learn(self, records: Iterable[Any]) -> bool:
        """Take aiokafka's records in, in offset order within a partition; whether any was new."""
        return self._unread.hand(records, self._take)

    def _take(self, record: Any) -> None:
        try:
            name = (record.key or b"").decode()
            mode = _modes.decode(record.value).mode if record.value is not None else None
        except UNREADABLE:
            self.unreadable += 1
            return
        if len(name) > LONGEST_NAME or not PLAIN_NAME.fullmatch(name):
            self.unreadable += 1
        elif mode is None:
            self.wishes.pop(name, None)
        else:
            self.wishes[name] = Wish(mode, (record.offset, record.partition))


def lineup(base: Collection[str], wishes: Mapping[str, Wish]) -> Lineup:
    """Who is asked and who votes: `base` in its order, then the others that somebody wants, by name.

    `base` must not be empty. Wishes that leave nobody to vote are dropped from the newest on until somebody does."""
    followed = sorted(wishes, key=lambda name: wishes[name].place)
    while not (found := _followed(base, {name: wishes[name].mode for name in followed})).voters:
        followed.pop()
    # A dropped wish can be met all the same: to disable an expert that is not in the base changes nothing.
    unmet = [name for name, wish in wishes.items() if found.modes.get(name, DISABLED) != wish.mode]
    return Lineup(found.modes, frozenset(unmet))


def _followed(base: Collection[str], modes: Mapping[str, ModeName]) -> Lineup:
    names = (*base, *sorted(modes.keys() - set(base)))
    wanted = {name: modes.get(name, ENABLED) for name in names}
    return Lineup({name: mode for name, mode in wanted.items() if mode != DISABLED})
