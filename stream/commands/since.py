"""A time, or how long ago, as an option."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import click

from stream.commands.times import Time
from stream.letters import instant
from stream.settings import seconds


class Moment(click.ParamType):
    """An RFC 3339 time, or a duration such as `2h`, which means so long ago."""

    name = "TIME|2h"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Fails in click's way for anything else."""
        try:
            ago = seconds(value)
        except ValueError:
            ago = None
        if isinstance(ago, float):
            return instant(int(max(time.time() - ago, 0.0) * 1000))
        return Time(f"{value!r} is neither a duration such as 2h nor a time").convert(value, param, ctx)
