"""What a person sees while a command reads a file: on standard error, so that it never mixes with what is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

PLAIN_SECONDS = 5.0
"""Between two lines of progress where there is no terminal: a log of an hour stays readable."""

Advance = Callable[[int], None]


@contextmanager
def counting(what: str, total: int | None = None) -> Iterator[Advance]:
    """Yields a function that counts on: a live count on a terminal, of `total` if that is known, else a line every few
    seconds.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Plain(what, total)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f}"))
    with Progress(*columns, BarColumn(bar_width=20), TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


class _Plain:
    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._count, self._told = what, 0, time.monotonic()
        self._of = "" if total is None else f" of {total:,}"

    def __call__(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._told > PLAIN_SECONDS:
            self._told = time.monotonic()
            click.echo(f"{self._what} {self._count:,}{self._of}", err=True)


@contextmanager
def steps() -> Iterator[Callable[[str, int, int], None]]:
    """Yields a function that is told what is being done, how much of it the call adds, and how much it is in all (0:
    nobody knows): a bar for each step on a terminal, else a line when a step begins.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _PlainSteps()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def say(what: str, count: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total or None)
            progress.advance(tasks[what], count)

        yield say


class _PlainSteps:
    def __init__(self) -> None:
        self._begun: set[str] = set()

    def __call__(self, what: str, count: int, total: int) -> None:
        if what not in self._begun:
            self._begun.add(what)
            click.echo(what, err=True)
