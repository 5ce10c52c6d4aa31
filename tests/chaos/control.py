"""What a running worker is told from outside: how wrong its clock is, and how its experts fail.

The worker of a run imports this first: from then on `time.time` and `time.time_ns` are as wrong as the file says. What
measures durations (`time.monotonic`) is not touched, as it is not when a machine's clock is set."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

PATH: Final = "AEGIS_TEST_CONTROL"
LOOK_SECONDS: Final = 0.02
"""Between two looks at the file: the clock is read thousands of times a second."""
MODES: Final = ("slow", "raises", "nan", "all raise", "dies")


class Orders(msgspec.Struct, frozen=True):
    """`experts`: one of MODES, or empty for health. Of one expert in three; only "all raise" is of all."""

    clock_seconds: float = 0.0
    experts: str = ""


def give(path: Path, orders: Orders) -> None:
    """Replace the orders, in one step."""
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(orders))
    new.replace(path)


class Control:
    """The orders as they stand, in the worker."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = -LOOK_SECONDS
        self._orders = Orders()

    @property
    def orders(self) -> Orders:
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            if self._path.is_file():
                self._orders = msgspec.json.decode(self._path.read_bytes(), type=Orders)
        return self._orders

    def recovered(self) -> None:
        """What takes the process with it does so once."""
        give(self._path, msgspec.structs.replace(self.orders, experts=""))


def wrap_clock(control: Control, real: Callable[[], int] = time.time_ns) -> None:
    """Set this process's clock as the orders say, now and later."""

    def time_ns() -> int:
        return real() + int(control.orders.clock_seconds * 1e9)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


control = Control(Path(os.environ[PATH])) if PATH in os.environ else None
if control is not None:
    wrap_clock(control)
