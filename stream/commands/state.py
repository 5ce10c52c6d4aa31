"""`aegis state`: what the workers remember, in its changelog."""

from __future__ import annotations

import asyncio

import click

from stream import losses
from stream.commands import hush
from stream.settings import Settings


@click.group()
def state() -> None:
    """Decide about a changelog from which records are gone.

    \b
    Example:
      aegis state accept-loss
    """
    hush()


@state.command("accept-loss")
def accept_loss() -> None:
    """Let workers go on though records were deleted from the changelog.

    For when a worker says that its changelog begins behind what it has: a retention time or somebody's hand deleted
    records. Turns that waited for labels, votes and learned weights in them are gone for good. No worker may run
    meanwhile; what is deleted later is refused again.

    \b
    Example:
      aegis state accept-loss && aegis worker
    """
    lines = asyncio.run(losses.accept(Settings.load()))
    click.echo("\n".join(lines) if lines else "no record is missing: nothing was to be accepted")
