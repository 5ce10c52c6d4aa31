"""What a command reads and writes: a file, or `-` for a standard stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import click

from stream.codecs import Rejected
from stream.lines import Readable


@contextmanager
def input_file(name: str) -> Iterator[tuple[Readable, str]]:
    """Yields the file, or standard input for `-`, and its name without a folder. One line if it cannot be read."""
    if name == "-":
        yield cast(Readable, click.get_binary_stream("stdin")), "stdin"
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115  # closed below; only opening it may fail in this way
    except OSError as error:
        raise click.FileError(name, error.strerror) from error
    with file:
        yield file, Path(name).name


@contextmanager
def output_file(name: str) -> Iterator[IO[bytes]]:
    """Yields the file, made anew, or standard output for `-`. One line if it cannot be written."""
    if name == "-":
        yield click.get_binary_stream("stdout")
        return
    try:
        file = Path(name).open("wb")  # noqa: SIM115  # as above
    except OSError as error:
        raise click.FileError(name, error.strerror) from error
    with file:
        yield file


def complain(name: str, number: int, why: Rejected) -> None:
    """Says on standard error which line cannot be used, and why, without quoting it."""
    click.echo(f"{name}:{number}: {why.detail}", err=True)
