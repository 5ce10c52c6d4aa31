"""The command line, one module a command or group, which has its name, with `_` for a dash; `stream.__main__` lists
them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from ensemble.errors import EnsembleError
from experts.errors import ExpertsError
from stream.errors import StreamError

EXPERTS_EXIT_CODE, ENSEMBLE_EXIT_CODE = 10, 11
"""A StreamError brings its own exit code, below these (see `stream.errors`)."""


class OneLineErrors(click.Group):
    """A group whose commands end with one line and the error's exit code when a package of ours refuses something."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; turns StreamError, ExpertsError and EnsembleError into click's own one-line error."""
        try:
            return super().invoke(ctx)
        except (StreamError, ExpertsError, EnsembleError) as error:
            shown = click.ClickException(str(error))
            shown.exit_code = exit_code(error)
            raise shown from error


class CommandModules(OneLineErrors):
    """Commands that are imported when they are asked for: Faust and ONNX Runtime take two seconds, `aegis broker` needs
    neither."""

    def __init__(self, *args: Any, modules: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = tuple(modules)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order given."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None if there is none."""
        if cmd_name not in self._modules:
            return None
        module = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), module)
        return command


def exit_code(error: StreamError | ExpertsError | EnsembleError) -> int:
    """What the process ends with."""
    if isinstance(error, StreamError):
        return error.exit_code
    return EXPERTS_EXIT_CODE if isinstance(error, ExpertsError) else ENSEMBLE_EXIT_CODE


def hush() -> None:
    """Lets our own line say what is wrong: without a handler Python would print aiokafka's errors around it."""
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
