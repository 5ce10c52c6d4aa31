"""`aegis demo`."""

import asyncio
from pathlib import Path

import click
from rich.console import Console

from stream.demo.runner import run
from stream.demo.screen import Screen
from stream.demo.stage import DemoError


@click.command()
@click.option("--seconds", type=click.FloatRange(min=5), default=60.0, show_default=True, help="Length of the script.")
@click.option("--plain", is_flag=True, help="One line at a time, as without a terminal.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("aegis-report.html"),
    show_default=True,
    help="Where the page with the plots goes.",
)
def demo(seconds: float, plain: bool, report: Path) -> None:
    """Watch conversations become verdicts, late labels arrive, and the ensemble learn.

    Starts a broker (unless AEGIS_BROKER names one or one runs) and a worker, and puts both away at the end. Needs no
    set-up.

    \b
    Example:
      aegis demo --seconds 30
    """
    console = Console()
    with Screen(plain or not console.is_terminal or console.is_dumb_terminal, console) as screen:
        outcome = asyncio.run(run(screen, seconds, report))
    screen.summary(outcome.facts, outcome.where_next)
    if not outcome.complete:
        raise DemoError("not everything came back: see the summary above and .aegis/demo/worker.log")
