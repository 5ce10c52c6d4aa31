"""What the training commands share."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import ParamSpec

import click

from experts.errors import ExpertsError, TrainingError

Options = ParamSpec("Options")


def need(*modules: str) -> None:
    """TrainingError, with the command that mends it, if a package of the extra `train` is not installed."""
    if missing := [name for name in modules if importlib.util.find_spec(name) is None]:
        raise TrainingError(
            f"{missing[0]} is not installed: `make setup-train`, or `pip install 'aegis-stream[train]'`"
        )


def one_line_errors(*modules: str) -> Callable[[Callable[Options, None]], Callable[Options, None]]:
    """A command that needs `modules`, and whose expected errors are one line on the terminal."""

    def decorate(command: Callable[Options, None]) -> Callable[Options, None]:
        @functools.wraps(command)
        def run(*args: Options.args, **kwargs: Options.kwargs) -> None:
            try:
                need(*modules)
                command(*args, **kwargs)
            except ExpertsError as error:
                raise click.ClickException(str(error)) from error

        return run

    return decorate
