"""Times on the command line."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import click

from stream.letters import instant
from stream.settings import seconds


def zoned(text: str) -> datetime | None:
    """The time that RFC 3339 text says; None if it says none. Raises ValueError, one line, without an offset to UTC:
    every machine would read that otherwise."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        raise ValueError(f"{text!r} does not say which zone it means: end it with Z or +01:00")
    return found


class Moment(click.ParamType):
    """An RFC 3339 time, or a duration such as `2h`, which means so long ago."""

    name = "TIME|2h"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Fails in click's way for anything else."""
        if isinstance(value, datetime):
            return value
        try:
            found = zoned(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if found is not None:
            return found
        try:
            ago = seconds(value)
            assert isinstance(ago, float)
            return instant(int((time.time() - min(ago, time.time())) * 1000))
        except ValueError:
            self.fail(f"{value!r} is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 2h", param, ctx)
