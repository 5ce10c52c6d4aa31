"""`aegis broker`: the embedded broker for a machine that has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stream import broker as embedded
from stream.broker_jars import ensure_jars, find_java
from stream.errors import BrokerError

directory_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=embedded.DIRECTORY,
    show_default=True,
    help="The folder that holds its data, log and pid.",
)


@click.group()
def broker() -> None:
    """Start, stop or look at an Apache Kafka broker of your own.

    One node on 127.0.0.1, run by the Java of this machine; its jars are fetched once, with Maven.

    \b
    Example:
      aegis broker start && aegis topics create
    """


@broker.command()
@directory_option
@click.option(
    "--port", type=click.IntRange(1, 65535), default=embedded.PORT, show_default=True, help="Port for clients."
)
@click.option(
    "--wait", type=click.FloatRange(min=1), default=embedded.START_SECONDS, show_default=True, help="Seconds."
)
def start(directory: Path, port: int, wait: float) -> None:
    """Start the broker and return when it serves.

    \b
    Examples:
      aegis broker start
      aegis broker start --directory /tmp/second --port 19092
    """
    running = embedded.start(directory, port, wait)
    click.echo(f"broker up on {running.bootstrap} (pid {running.pid}, data in {running.directory})")


@broker.command()
def fetch() -> None:
    """Fetch the broker's jars, so that a later start needs no network.

    \b
    Example:
      aegis broker fetch
    """
    find_java()
    click.echo(f"Apache Kafka is in {ensure_jars()}")


@broker.command()
@directory_option
def stop(directory: Path) -> None:
    """Stop the broker of this folder; its data stays.

    \b
    Example:
      aegis broker stop
    """
    stopped = embedded.stop(directory)
    click.echo(f"broker on {stopped.bootstrap} stopped, its data stays in {stopped.directory}")


@broker.command()
@directory_option
def status(directory: Path) -> None:
    """Say whether the broker of this folder runs and answers; exit code 1 when it does not.

    \b
    Example:
      aegis broker status || aegis broker start
    """
    running = embedded.status(directory)
    if running is None:
        raise BrokerError(f"no broker runs in {directory}: `aegis broker start` starts one")
    if not embedded.serves(running.port):
        raise BrokerError(
            f"the broker on {running.bootstrap} (pid {running.pid}) does not answer: see {directory}/broker.log"
        )
    click.echo(f"broker runs on {running.bootstrap} (pid {running.pid}, data in {running.directory})")
