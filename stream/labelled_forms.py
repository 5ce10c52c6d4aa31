"""Labelled turns as lines of JSON, or as a table in CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Final

from stream.labelled import Row

Written = Callable[[Row], bytes]


def as_json_lines() -> Written:
    """A row as a line of JSON."""
    return lambda row: json.dumps(row.columns(), ensure_ascii=False).encode() + b"\n"


def as_csv() -> Written:
    """A row as a line of CSV, the names of the columns before the first; lists are JSON inside."""
    begun = False

    def written(row: Row) -> bytes:
        nonlocal begun
        columns = row.columns()
        text = io.StringIO(newline="")
        table = csv.writer(text)
        if not begun:
            table.writerow(columns)
            begun = True
        table.writerow([_cell(value) for value in columns.values()])
        return text.getvalue().encode()

    return written


def _cell(value: object) -> object:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return int(value) if isinstance(value, bool) else value


FORMS: Final[dict[str, Callable[[], Written]]] = {"jsonl": as_json_lines, "csv": as_csv}
