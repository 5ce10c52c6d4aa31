"""How a review queue is run: what `aegis console` is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

import click

from stream.console.review.queue import Order
from stream.settings import UNITS, seconds

MOST_WAITING: Final = 100_000
"""Turns in the queue, some 600 bytes each: more than a team labels within the label horizon."""


@dataclass(frozen=True, slots=True)
class Options:
    """`order`: see `queue`. `most`: turns that wait at once. `annotators`: who label a turn, or as many as its policy's
    quorum asks for; of a share of `overlap` one more. `lease`: seconds for which a turn is one annotator's.
    `exporters`: who may download labelled turns, by name."""

    order: Order = "oldest"
    most: int = MOST_WAITING
    annotators: int = 1
    overlap: float = 0.0
    lease: float = 600.0
    exporters: frozenset[str] = frozenset()

    @classmethod
    def of(cls, chosen: Mapping[str, Any], local: str | None) -> Options:
        """From the parameters that `review_options` adds to a command. `local`, who calls where nobody signs in, may
        export: whoever runs the console on this machine can read the topics, too."""
        return cls(
            order=chosen["order"],
            most=chosen["most_waiting"],
            annotators=chosen["annotators"],
            overlap=chosen["overlap"],
            lease=chosen["lease"],
            exporters=frozenset(chosen["may_export"]) | ({local} if local is not None else set()),
        )


class _Duration(click.ParamType):
    name = "10m"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            found = seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not isinstance(found, float | int) or not 1 <= found <= UNITS["d"]:
            self.fail(f"{value!r} lies outside 1s and 1d", param, ctx)
        return float(found)


def review_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds to a command how its review queue is run."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: Final = (
    click.option(
        "--order",
        type=click.Choice(get_args(Order)),
        default="oldest",
        show_default=True,
        help="Which turn is labelled next. `doubtful` finds more errors, and is a biased sample.",
    ),
    click.option(
        "--annotators",
        type=click.IntRange(1, 16),
        default=1,
        show_default=True,
        help="Annotators a turn, if its policy's quorum does not ask for more.",
    ),
    click.option(
        "--overlap",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=True,
        help="Share of turns that one more annotator labels, which shows how far people agree.",
    ),
    click.option(
        "--lease", type=_Duration(), default="10m", show_default=True, help="How long a turn is one annotator's."
    ),
    click.option(
        "--most-waiting",
        type=click.IntRange(1, 5_000_000),
        default=MOST_WAITING,
        show_default=True,
        help="Turns that wait at once; the oldest go when there are more.",
    ),
    click.option("--may-export", multiple=True, metavar="NAME", help="Who may download labelled turns; repeatable."),
)
