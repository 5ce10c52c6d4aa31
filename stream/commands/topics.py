"""`aegis topics`: the topics of the contract on a broker."""

from __future__ import annotations

import asyncio
import logging

import click

from stream import topics_admin
from stream.errors import TopicsError
from stream.settings import Settings


@click.group()
def topics() -> None:
    """Make, check or delete the topics that the worker uses, on the broker that AEGIS_BROKER names.

    \b
    Example:
      AEGIS_PARTITIONS=16 aegis topics create
    """
    # Our own line says what is wrong; without a handler Python would print aiokafka's errors around it.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())


@topics.command()
def create() -> None:
    """Make what is missing and mend what differs; run it again at any time.

    \b
    Example:
      aegis topics create
    """
    lines = asyncio.run(topics_admin.create(Settings.load()))
    click.echo("\n".join(lines) if lines else "every topic is there and as the contract asks")


@topics.command()
def check() -> None:
    """Say in which points the topics differ from the contract, a line each, with the command that mends it.

    Exit code 4 when a worker would refuse to run.

    \b
    Example:
      aegis topics check || aegis topics create
    """
    wrong = asyncio.run(topics_admin.check(Settings.load()))
    for mismatch in wrong:
        click.echo(str(mismatch))
    refused = sum(mismatch.refused for mismatch in wrong)
    if refused:
        raise TopicsError(f"{refused} points differ from the contract: a worker refuses to run on these topics")
    click.echo("every topic is there and as the contract asks" if not wrong else "a worker runs on these topics")


@topics.command()
@click.option("--yes", is_flag=True, help="Do it: everything in these topics is lost.")
def delete(yes: bool) -> None:
    """Delete the contract's topics, with every turn, label, verdict and all that was learned.

    \b
    Example:
      AEGIS_TOPIC_PREFIX=try. AEGIS_APP_ID=try aegis topics delete --yes
    """
    if not yes:
        raise TopicsError("this deletes all that the topics hold, for good: say so with `aegis topics delete --yes`")
    gone = asyncio.run(topics_admin.delete(Settings.load()))
    click.echo("\n".join(f"{name}: deleted" for name in gone) if gone else "there was no topic to delete")
