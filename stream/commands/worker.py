"""`aegis worker`."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from experts.executor import Panel
    from stream.expert_swaps import Supply
    from stream.settings import Settings


@click.command()
def worker() -> None:
    """Score turns and learn from labels until SIGTERM or Ctrl-C.

    Run as many as there are partitions, on as many machines as you like: they share the work, and take over from each
    other.

    \b
    Example:
      AEGIS_BROKER=kafka-1:9092 AEGIS_POLICY=defensive aegis worker
    """
    end_quietly_when_told()
    # Imported behind that: Faust and the experts take seconds.
    from stream import logs
    from stream.expert_swaps import Supply
    from stream.panels import expert_names, open_expert, open_panel
    from stream.settings import Settings

    settings = Settings.load()
    logs.configure(settings.log_level, settings.log_format)
    supply = Supply(expert_names(settings), partial(open_expert, settings))
    serve(settings, open_panel(settings), supply)


def end_quietly_when_told() -> None:
    """Until the worker runs and has handlers of its own, SIGTERM ends the process with 0: nothing has begun."""

    def end(number: int, frame: Any) -> None:
        os._exit(0)

    signal.signal(signal.SIGTERM, end)


def serve(settings: Settings, panel: Panel, supply: Supply | None = None) -> None:
    """Run a worker on uvloop, on this thread and on that of Faust's consumer."""
    end_quietly_when_told()
    import uvloop

    from stream.exporters import open_tracing
    from stream.worker import create_worker, run_worker

    tracing = open_tracing(settings, os.environ)
    uvloop.install()
    asyncio.run(run_worker(create_worker(settings, panel, supply, tracing=tracing)))
