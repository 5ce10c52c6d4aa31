"""A dictionary that keeps what was used last, up to a number of bytes: for what can be made anew from records."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from ensemble.moments import Moments, shapes

_K = TypeVar("_K")
_V = TypeVar("_V")

MOMENTS_OVERHEAD = 2_000
"""Bytes of a decoded record besides its cells: eight array headers and the object around them."""


class Bounded(Generic[_K, _V]):
    """At most `limit` bytes by `size_of`, and always what was put last. Values must not be None."""

    def __init__(self, limit: int, size_of: Callable[[_V], int]) -> None:
        self.size = 0
        self._limit = limit
        self._size_of = size_of
        self._values: OrderedDict[_K, tuple[_V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: _K) -> bool:
        return key in self._values

    def get(self, key: _K) -> _V | None:
        """The value, which is then the one used last."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def __setitem__(self, key: _K, value: _V) -> None:
        """What was used longest ago goes, as much as must. Put again what has grown."""
        self.pop(key)
        size = self._size_of(value)
        self._values[key] = value, size
        self.size += size
        while self.size > self._limit and len(self._values) > 1:
            self.size -= self._values.popitem(last=False)[1][1]

    def pop(self, key: _K) -> None:
        """Forget a key, if it is there."""
        found = self._values.pop(key, None)
        if found is not None:
            self.size -= found[1]

    def clear(self) -> None:
        self._values.clear()
        self.size = 0


def bytes_of(moments: Moments) -> int:
    """Of a decoded record in memory."""
    return MOMENTS_OVERHEAD + sum(int(getattr(moments, name).nbytes) for name in _ARRAYS)


_ARRAYS = tuple(shapes(0, 0))
