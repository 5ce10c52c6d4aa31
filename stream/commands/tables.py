"""Tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.console import Console, RenderableType

WIDTH: Final = 140
"""Columns where there is no terminal: wide enough for eight experts in a summary."""


def print_tables(tables: Iterable[RenderableType]) -> None:
    """Prints them one after the other."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    for table in tables:
        console.print(table)
