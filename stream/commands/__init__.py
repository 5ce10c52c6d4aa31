"""The command line, one module a group; `stream.__main__` mounts them."""

from __future__ import annotations

from typing import Any

import click

from stream.errors import StreamError


class OneLineErrors(click.Group):
    """A group whose commands end with one line and the error's exit code when they raise a StreamError."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; turns a StreamError into click's own one-line error."""
        try:
            return super().invoke(ctx)
        except StreamError as error:
            shown = click.ClickException(str(error))
            shown.exit_code = error.exit_code
            raise shown from error
