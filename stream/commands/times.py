"""An instant, as an option."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click


class Time(click.ParamType):
    """An RFC 3339 time with its offset to UTC."""

    name = "TIME"

    def __init__(self, otherwise: str = "") -> None:
        """`otherwise` says what a text is not that is no time."""
        self._otherwise = otherwise

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Fails in click's way for anything else, also for a time that every machine would read otherwise."""
        if isinstance(value, datetime):
            return value
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{self._otherwise or f'{value!r} is no time'} such as 2026-01-31T12:00:00Z", param, ctx)
        if time.tzinfo is None:
            self.fail(f"{value!r} does not say which zone it means: end it with Z or +01:00", param, ctx)
        return time
