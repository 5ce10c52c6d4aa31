"""`aegis explain`."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Any

import click
import msgspec

from stream.commands import hush
from stream.commands.labels import Id
from stream.commands.progress import steps
from stream.commands.since import Moment
from stream.commands.tables import print_tables
from stream.explain.explaining import Wanted
from stream.explain.explaining import explain as explained
from stream.explain.tables import tables
from stream.records import Source
from stream.settings import TOPIC_NAME, Settings

PLACE = re.compile(rf"({TOPIC_NAME}{{1,249}})/(\d{{1,9}})/(\d{{1,18}})")


class Place(click.ParamType):
    """`topic/partition/offset`."""

    name = "TOPIC/PARTITION/OFFSET"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Source:
        """Fails in click's way for anything else."""
        if isinstance(value, Source):
            return value
        place = PLACE.fullmatch(value)
        if place is None:
            self.fail(f"{value!r} is no place such as aegis.turns.v1/3/7 (a verdict's `source`)", param, ctx)
        return Source(place[1], int(place[2]), int(place[3]))


@click.command("explain", short_help="Say why a turn was labelled so, and what would be said today.")
@click.argument("turn_id", type=Id())
@click.option("--tenant", type=Id(), help="Whose turn, where several tenants use an id.")
@click.option("--conversation", type=Id(), help="Look first where turns of this conversation are.")
@click.option("--source", type=Place(), help="Where the turn stands (the verdict's `source`): no search.")
@click.option("--since", type=Moment(), help="Search no further back than this time, or so long ago (2h).")
@click.option("--policy", metavar="NAME", help="Also say what today's ensemble decides under this policy.")
@click.option("--labels/--no-labels", default=True, help="Find the labels that moved the weights since, or do not.")
@click.option("--newest", type=click.IntRange(0, 1000), default=10, show_default=True, help="Tell so many one by one.")
@click.option("--text", is_flag=True, help="Print the turn's text too.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object.")
def explain(
    turn_id: str,
    tenant: str | None,
    conversation: str | None,
    source: Source | None,
    since: datetime | None,
    policy: str | None,
    labels: bool,
    newest: int,
    text: bool,
    as_json: bool,
) -> None:
    """Say why TURN_ID was labelled so: experts, weights, policy and thresholds, and what would be said of it today.

    The verdict is searched in verdicts.v1 from the newest back. Its score is computed again from the advice and the
    weights in it. Labels of the turn come from labels.v1, those that moved the weights of its context since then from
    the state's changelog, read from the verdict on (--no-labels spares that). Today's weights are those that the
    workers forecast with, computed from moments.v1. The turn's text is not read unless --text asks for it. No worker
    needs to run, and nothing is written.

    \b
    Examples:
      aegis explain 7f3a --since 2h
      aegis explain 7f3a --source aegis.turns.v1/3/7 --policy defensive
      aegis explain 7f3a --conversation c-17 --no-labels --json
    """
    hush()
    settings = Settings.load()
    wanted = Wanted(tenant, conversation, source, since, policy, labels, newest, text)
    with steps() as say:
        told = asyncio.run(explained(settings, turn_id, wanted, lambda what, count: say(what, count, 0)))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2))
    else:
        print_tables(tables(told))
