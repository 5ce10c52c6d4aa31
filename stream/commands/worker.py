"""`aegis worker`."""

import asyncio
from functools import partial

import click
import uvloop

from experts.executor import Panel
from stream import logs
from stream.expert_swaps import Supply
from stream.panels import expert_names, open_expert, open_panel
from stream.settings import Settings
from stream.worker import create_worker, run_worker


@click.command()
def worker() -> None:
    """Score turns and learn from labels until SIGTERM or Ctrl-C.

    Run as many as there are partitions, on as many machines as you like: they share the work, and take over from each
    other.

    \b
    Example:
      AEGIS_BROKER=kafka-1:9092 AEGIS_POLICY=defensive aegis worker
    """
    settings = Settings.load()
    logs.configure(settings.log_level, settings.log_format)
    supply = Supply(expert_names(settings), partial(open_expert, settings))
    serve(settings, open_panel(settings), supply)


def serve(settings: Settings, panel: Panel, supply: Supply | None = None) -> None:
    """Run a worker on uvloop, on this thread and on that of Faust's consumer."""
    uvloop.install()
    asyncio.run(run_worker(create_worker(settings, panel, supply)))
