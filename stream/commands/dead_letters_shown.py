"""What `aegis dead-letters` shows. Whatever others wrote cannot move the cursor nor style a cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from stream.letters import Letter, Place, instant, letter
from stream.rendering import printable

MOST_SHOWN: Final = 300
"""Characters of a header or a key: enough for any of ours, and a screen is not flooded."""

MOST_HEADERS: Final = 100
"""The last ones, among which are ours."""


def listed(letters: Iterable[Letter]) -> Table:
    """A row each."""
    table = _table("place", "at (UTC)", "reason", "source", "bytes", "replays", "detail", right=("bytes", "replays"))
    for told in letters:
        source = f"{told.topic}:{told.partition}:{told.offset}"
        at = f"{told.at:%Y-%m-%d %H:%M:%S}"
        row = (told.place, at, told.reason, source, f"{told.size:,}", str(told.replays), told.detail)
        table.add_row(*map(_cell, row))
    return table


def counted(counts: Counter[tuple[str, str]]) -> Table:
    """How many by reason and source topic, the most first."""
    table = _table("reason", "source", "count", right=("count",))
    for (reason, source), count in counts.most_common():
        table.add_row(_cell(reason), _cell(source), f"{count:,}")
    return table


def full(record: Any) -> list[tuple[str, str]]:
    """All that is known of one, but the message itself."""
    told = letter(record)
    rows = [
        ("place", str(Place(record.partition, record.offset))),
        ("at", f"{instant(record.timestamp):%Y-%m-%dT%H:%M:%S.%fZ}"),
        ("bytes", f"{told.size:,}"),
        ("key", "none" if record.key is None else _decoded(record.key)),
    ]
    rows += [(name, "none" if value is None else _decoded(value)) for name, value in record.headers[-MOST_HEADERS:]]
    more = len(record.headers) - MOST_HEADERS
    return rows if more <= 0 else [*rows, ("headers", f"{more:,} more before these")]


def table_of(rows: Iterable[tuple[str, str]]) -> Table:
    """A row for each name and value."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(_cell(name), _cell(value))
    return table


def escaped(text: str) -> str:
    """The text on one line, with every character that a terminal would act on written as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        wide = heading == "detail"
        justify: Any = "right" if heading in right else "left"
        table.add_column(heading, justify=justify, overflow="fold" if wide else "ellipsis", no_wrap=not wide)
    return table


def _decoded(value: bytes) -> str:
    more = f"… ({len(value):,} bytes)" if len(value) > MOST_SHOWN else ""
    return escaped(value[:MOST_SHOWN].decode(errors="backslashreplace")) + more


def _cell(text: str) -> Text:
    return Text(printable(text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"))
