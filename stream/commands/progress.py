"""What a person sees while a command reads a file: on standard error, so that it never mixes with what is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PLAIN_SECONDS = 5.0
"""Between two lines of progress where there is no terminal: a log of an hour stays readable."""

Advance = Callable[[int], None]


@contextmanager
def counting(what: str) -> Iterator[Advance]:
    """Yields a function that counts on: a live count on a terminal, else a line every few seconds."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Plain(what)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f}"))
    with Progress(*columns, BarColumn(bar_width=20), TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda count: progress.advance(task, count)


class _Plain:
    def __init__(self, what: str) -> None:
        self._what, self._count, self._told = what, 0, time.monotonic()

    def __call__(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._told > PLAIN_SECONDS:
            self._told = time.monotonic()
            click.echo(f"{self._what} {self._count:,}", err=True)
