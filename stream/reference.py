"""`deploy/docs/settings.md` and `deploy/docs/commands.md`, written from the code: `python -m stream.reference`."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

import click
from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from stream.__main__ import cli
from stream.settings import PREFIX, UNITS, Settings, seconds

FOLDER: Final = Path(__file__).resolve().parents[1] / "deploy" / "docs"
WIDTH: Final = 100
"""Columns of a command's help."""
MIB: Final = 1 << 20
WRITTEN: Final = "<!-- Written by `make docs` from the code: change it there. -->"
SETTINGS: Final = f"""{WRITTEN}

# Every setting

Environment variables, read once at start; a variable that begins with `{PREFIX}` and is no setting is refused, with the
nearest one that is. Durations are written `7d`, `36h`, `90m`, `10s`, `200ms` or as a number of seconds. In a container,
set them in its environment; secrets are better in the files that the settings with `_FILE` name.
"""
COMMANDS: Final = f"""{WRITTEN}

# Every command

What `--help` says of each. They read the settings ([settings.md](settings.md)) from the environment. A command that
cannot do what it was told ends with one line on standard error and an exit code: 1 data, 2 settings or options, 3 no
broker, 4 topics, 5 state, 6 fenced, 7 no acknowledgement, 8 stalled, 9 a bug, 10 an expert's files, 11 the ensemble.
"""


def files() -> dict[str, str]:
    """The generated files by name."""
    return {"settings.md": settings(), "commands.md": commands()}


def settings() -> str:
    """A table for each section of `stream.settings`, in its order."""
    titles, parts = _titles(), [SETTINGS]
    for name, field in Settings.model_fields.items():
        if name in titles:
            parts.append(f"\n## {titles[name]}\n\n| variable | what it takes | default | |\n|---|---|---|---|\n")
        cells = (_variable(name), _type(field), _default(field), _meaning(field))
        parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return "".join(parts)


def _variable(name: str) -> str:
    return f"`{PREFIX}{name.upper()}`"


def _meaning(field: FieldInfo) -> str:
    """The docstring on one line; other settings, which it calls by their fields, by their variables."""
    said = " ".join((field.description or "").split())
    return re.sub(
        r"`(\w+)`", lambda found: _variable(found[1]) if found[1] in Settings.model_fields else found[0], said
    )


def _titles() -> dict[str, str]:
    """By the first setting of each section: the first sentence of the comment above it."""
    found: dict[str, str] = {}
    said: list[str] = []
    for line in inspect.getsource(Settings).splitlines():
        if comment := re.fullmatch(r"    # (.+)", line):
            said.append(comment[1])
        elif (field := re.match(r"    (\w+): ", line)) and said:
            found[field[1]] = re.split(r"(?<=[a-z])\. ", " ".join(said))[0].removesuffix(".")
            said = []
    return found


def _type(field: FieldInfo) -> str:
    """What a value may be, in words."""
    annotation, metadata = _plain(field.annotation, list(field.metadata))
    if any(isinstance(one, BeforeValidator) and one.func is seconds for one in metadata):
        return f"a duration{_range(metadata, _duration)}"
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is dict:
        return "a JSON object"
    if get_origin(annotation) is tuple:
        return "names, with commas between them"
    words: dict[Any, str] = {
        int: "a whole number",
        float: "a number",
        Path: "a path",
        SecretStr: "a secret",
        bool: "on/off",
    }
    return words.get(annotation, "text") + (_range(metadata, "{:,}".format) if annotation in (int, float) else "")


def _plain(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any]]:
    """An annotation without `| None` and `Annotated`, and what both said of it."""
    if hasattr(annotation, "__metadata__"):
        return _plain(annotation.__origin__, [*metadata, *annotation.__metadata__])
    some = [one for one in get_args(annotation) if one is not NoneType]
    if NoneType in get_args(annotation) and len(some) == 1:
        return _plain(some[0], metadata)
    return annotation, metadata


def _range(metadata: list[Any], shown: Any) -> str:
    """` from … to …`, as far as there are bounds."""
    low = next((one.ge for one in metadata if isinstance(one, Ge)), None)
    above = next((one.gt for one in metadata if isinstance(one, Gt)), None)
    high = next((one.le for one in metadata if isinstance(one, Le)), None)
    first = f" from {shown(low)}" if low is not None else f" above {shown(above)}" if above is not None else ""
    return f"{first} to {shown(high)}" if high is not None else first


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None or value == ():
        return "none"
    if any(isinstance(one, BeforeValidator) and one.func is seconds for one in field.metadata):
        return f"`{_duration(value)}`"
    whole = isinstance(value, int) and value >= MIB and value % MIB == 0
    shown = json.dumps(value) if isinstance(value, dict) else value
    return f"`{shown}`{f' ({value // MIB} MiB)' if whole else ''}"


def _duration(value: float) -> str:
    """In the largest unit that leaves a whole number."""
    units = sorted(UNITS.items(), key=lambda unit: -unit[1])
    name, length = next(unit for unit in units if value == 0 or round(value / unit[1], 9).is_integer())
    return f"{value / length:g}{name}" if value else "0"


def commands() -> str:
    """The help of each command, in the order in which `aegis --help` lists them."""
    return COMMANDS + "".join(f"\n## `{path}`\n\n```text\n{text}\n```\n" for path, text in _helps(cli, "aegis"))


def _helps(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH,
        help_option_names=cli.context_settings["help_option_names"],
    )  # fmt: skip
    yield path, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (one := command.get_command(context, name)) is not None:
                yield from _helps(one, f"{path} {name}")


def main() -> None:
    """Write the files."""
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
