"""`aegis console`."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import click

from stream.commands import hush
from stream.console.review.options import Options, review_options
from stream.settings import Settings

DRAIN: Final = 2.0
"""Seconds for answers under way when it is told to end: none takes long but the events, which are let go at once."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8601, show_default=True, help="Port; 0: one that is free."
)
@click.option("--as", "name", default="local", show_default=True, help="Your name, where nobody signs in.")
@click.option(
    "--metrics-url", "metrics", multiple=True, metavar="URL", help="A worker's /metrics, for what experts cost; repeat."
)
@review_options
def console(host: str, port: int, name: str, metrics: tuple[str, ...], **queue: Any) -> None:
    """Serve the console: what the stream does now, and the queue of turns to label.

    Open http://127.0.0.1:8601 in a browser. It reads topics, keeps no state and belongs to no group: run as many as you
    like. People sign in by AEGIS_TOKENS_FILE or by the header of a proxy (AEGIS_USER_HEADER); with neither it listens
    on this machine only. Ctrl-C ends it.

    One console serves all who label together: it knows who has which turn. The options from --order on are of its
    review queue.

    \b
    Examples:
      AEGIS_BROKER=kafka-1:9092 aegis console
      aegis console --metrics-url http://worker-1:8080/metrics
      aegis console --annotators 2 --order newest --may-export anna
    """
    hush()
    from stream import logs
    from stream.console.app import make_app
    from stream.web.access import Access
    from stream.web.serving import serve

    settings = Settings.load()
    logs.configure(settings.log_level, settings.log_format)
    access = Access.of(settings, host, name)
    options = Options.of(queue, access.local.name if access.local is not None else None)
    app = make_app(settings, access, metrics, options)
    asyncio.run(serve(app, host, port, DRAIN, lambda address: click.echo(f"the console is at {address}")))
