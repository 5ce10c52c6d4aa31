"""The arguments of `aegis dead-letters`."""

from __future__ import annotations

import re
from typing import Any, Final

import click

from stream.commands.files import input_file
from stream.errors import DataError
from stream.letters import Place, SourceOf
from stream.lines import MAX_LINE_BYTES
from stream.rendering import full_name
from stream.topics import TopicNames

_PLACE: Final = re.compile(r"([0-9]{1,6}):([0-9]{1,15})")
_SOURCE: Final = re.compile(r"([A-Za-z0-9._-]{1,249})(?::([0-9]{1,6})(?::([0-9]{1,15}))?)?")


class _Place(click.ParamType):
    name = "PARTITION:OFFSET"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        if isinstance(value, Place):
            return value
        found = _PLACE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no place: write partition:offset, as `aegis dead-letters list` does", param, ctx)
        return Place(int(found[1]), int(found[2]))


class _Source(click.ParamType):
    name = "TOPIC[:PARTITION[:OFFSET]]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> SourceOf:
        if isinstance(value, SourceOf):
            return value
        found = _SOURCE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no source: write turns, turns:3 or turns:3:1042", param, ctx)
        partition, offset = (None if number is None else int(number) for number in found.groups()[1:])
        return SourceOf(found[1], partition, offset)


PLACE: Final = _Place()
SOURCE: Final = _Source()


def fully_named(source: SourceOf, names: TopicNames) -> SourceOf:
    """With the topic's full name for the short one of the contract."""
    return source._replace(topic=full_name(source.topic, names))


def read_value(name: str) -> bytes:
    """What a file, or standard input for `-`, holds. Raises DataError, one line, for more than a message can."""
    value = b""
    with input_file(name) as (file, shown):
        while chunk := file.read1():
            value += chunk
            if len(value) > MAX_LINE_BYTES:
                raise DataError(f"{shown} is over {MAX_LINE_BYTES} bytes, more than a message can be: send less")
    return value.strip()
