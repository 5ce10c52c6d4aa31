"""What the training commands share."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, get_args

import click

from experts.errors import ExpertsError, TrainingError
from experts.guard_policy import Policy

Options = ParamSpec("Options")
Command = Callable[..., Any]


def need(*modules: str) -> None:
    """TrainingError, with the command that mends it, if a package of the extra `train` is not installed."""
    if missing := [name for name in modules if importlib.util.find_spec(name) is None]:
        raise TrainingError(
            f"{missing[0]} is not installed: `make setup-train`, or `pip install 'aegis-stream[train]'`"
        )


def data_option(command: Command) -> Command:
    """The labelled turns that a model of one's own learns from."""
    told = "Labelled turns: .jsonl or .jsonl.gz in our form or that of AEGIS 1.0 (labels_0, labels_1, …), or a folder."
    return click.option("--data", type=click.Path(path_type=Path), required=True, help=told)(command)


def reading_option(command: Command) -> Command:
    """How Needs Caution is read."""
    readings, told = click.Choice(get_args(Policy)), "Is needs caution safe (permissive) or not."
    return click.option("--reading", type=readings, default="permissive", show_default=True, help=told)(command)


def work_option(command: Command) -> Command:
    """Where checkpoints are kept."""
    folder, told = click.Path(path_type=Path), "Folder for the checkpoint, from which an interrupted run goes on."
    return click.option("--work", type=folder, default=Path(".aegis/train"), show_default=True, help=told)(command)


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
