"""`aegis console`."""

from __future__ import annotations

import click
from aiohttp import web

from stream.commands import hush
from stream.settings import Settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8601, show_default=True, help="Port to listen on.")
def console(host: str, port: int) -> None:
    """Serve the console: what the stream does now, and the queue of turns to label.

    Open http://127.0.0.1:8601 in a browser. It reads topics and keeps no state: run as many as you like. Ctrl-C ends
    it.

    \b
    Example:
      AEGIS_BROKER=kafka-1:9092 aegis console
    """
    hush()
    from stream.console.app import make_app

    web.run_app(make_app(Settings.load()), host=host, port=port, print=None, access_log=None)
