"""`aegis forget`: no text of a conversation or of a turn is left in what the workers keep."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import click
from rich.table import Table

from stream import topics_admin
from stream.asked import Answer, ask, partitions_of_state, until_carried_out
from stream.commands import hush
from stream.commands.labels import NOBODY, Id
from stream.commands.progress import counting
from stream.commands.tables import print_tables
from stream.records import Erasure
from stream.replay.wording import span
from stream.settings import Settings
from stream.topics import TopicNames
from stream.traces import Trace, traces

COMPACTION_LAG = "max.compaction.lag.ms"


@click.command(short_help="Delete the text of a conversation or turn.")
@click.option("--conversation", "conversation_id", type=Id(), help="All that was said in it until now.")
@click.option("--turn", "turn_id", type=Id(), help="This turn, also where it stands in its conversation.")
@click.option("--tenant", type=Id(), default="default", show_default=True, help="Whose it is.")
def forget(conversation_id: str | None, turn_id: str | None, tenant: str) -> None:
    """Delete the text of a conversation or of a turn from all that the workers keep, then say what your own topics
    still hold of it.

    Kept conversations, labels whose turn has not come, and the workers' folders are cleaned, by every worker; a turn's
    pending record goes too, so that labels of it are dead letters from then on. What was learned stays: it is sums,
    which hold nobody's words. A turn that was published before and is read later is decided, and not kept.

    \b
    Examples:
      aegis forget --conversation c-17 --tenant acme
      aegis forget --turn t-4711
    """
    hush()
    if (conversation_id is None) == (turn_id is None):
        raise click.UsageError("name either --conversation ID or --turn ID")
    settings = Settings.load()
    erasure = Erasure(tenant, datetime.now(UTC), conversation_id, turn_id)
    answer = asyncio.run(_asked(settings, erasure))
    if answer.complete:
        click.echo(
            f"forgotten: {answer.count} records of the state lost their text, in all {answer.partitions} partitions"
        )
        click.echo(asyncio.run(_compaction(settings)))
    else:
        click.echo(f"carried out in {answer.done} of {answer.partitions} partitions so far")
    with counting("records of your topics read") as advance:
        found = asyncio.run(traces(settings, erasure, advance))
    _tell(found)
    if not answer.complete:
        raise click.ClickException(NOBODY)


async def _asked(settings: Settings, erasure: Erasure) -> Answer:
    partitions = await partitions_of_state(settings)
    await ask(settings, erasure)
    with counting("partitions that have carried it out", partitions) as advance:
        return await until_carried_out(settings, erasure, advance)


async def _compaction(settings: Settings) -> str:
    """When the bytes are gone from the broker, too."""
    changelog = TopicNames.of(settings).changelog
    lag = int(await topics_admin.config_of(settings, changelog, COMPACTION_LAG)) / 1000
    return (
        f"the broker drops the old bytes from {changelog} within {span(lag)} of the next record after that"
        f" ({COMPACTION_LAG}); folders of workers that are stopped now are cleaned when these start"
    )


def _tell(found: list[Trace]) -> None:
    if not found:
        click.echo("your own topics hold nothing of it")
        return
    click.echo("your own topics still hold it, for as long as you keep them:")
    table = Table("topic", "partition", "records", "first offset", "last offset", box=None)
    for trace in found:
        table.add_row(*map(str, (trace.topic, trace.partition, trace.records, trace.first, trace.last)))
    print_tables([table])
