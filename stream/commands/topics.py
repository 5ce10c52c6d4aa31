"""`aegis topics`: the topics of the contract on a broker."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from stream import offsets, topics_admin
from stream.commands import hush
from stream.commands.times import Time
from stream.errors import TopicsError
from stream.settings import Settings


class Place(click.ParamType):
    """`earliest`, `latest`, or an RFC 3339 time with its offset to UTC."""

    name = "earliest|latest|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> offsets.Place:
        """Fails in click's way for anything else, also for a time that every machine would read otherwise."""
        if value in ("earliest", "latest"):
            return value  # type: ignore[no-any-return]
        return Time(f"{value!r} is neither earliest nor latest nor a time").convert(value, param, ctx)


@click.group()
def topics() -> None:
    """Make, check or delete the topics that the worker uses, on the broker that AEGIS_BROKER names.

    \b
    Example:
      AEGIS_PARTITIONS=16 aegis topics create
    """
    hush()


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


@topics.command()
@click.option("--to", required=True, type=Place(), help="The first record, behind the last, or the first since a time.")
@click.option("--all", "every", is_flag=True, help="Move every offset, not only those that are missing.")
def seek(to: offsets.Place, every: bool) -> None:
    """Choose where the workers go on reading turns and labels, when a worker says that offsets are missing.

    Only partitions are moved whose committed offset is missing or lies behind the end; no worker may run meanwhile.
    A turn read again changes nothing while its state is kept, and is decided anew once that has expired.

    \b
    Examples:
      aegis topics seek --to latest
      aegis topics seek --to 2026-01-31T12:00:00Z --all
    """
    lines = asyncio.run(offsets.seek(Settings.load(), to, every))
    click.echo("\n".join(lines) if lines else "every partition has its offset: nothing was moved (--all moves them)")
