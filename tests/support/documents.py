"""The Markdown files of the repository, and what is checked of them: links, commands, settings and make's targets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from stream.__main__ import cli

ROOT: Final = Path(__file__).resolve().parents[2]
GROUPS: Final = ("README.md", "CHANGELOG.md", "deploy/**/*.md", "experts/zoo/*/*.md")
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_ASSIGNED: Final = re.compile(r"[A-Za-z_]\w*=")
_PLACEHOLDER: Final = re.compile(r"[A-Z][A-Z_]*(\.\.\.)?|PATH/.*|<.*>")
BAR: Final = "\N{BROKEN BAR}"
"""In place of a bar that is no pipe: `enable|disable`."""
SHELL: Final = ("sh", "bash", "console", "shell")


def documents() -> list[Path]:
    """Every Markdown file that is ours; none of a package that an example has installed."""
    found = {file for group in GROUPS for file in ROOT.glob(group)}
    return sorted(file for file in found if "node_modules" not in file.parts)


def links(text: str) -> Iterator[str]:
    """Where links outside of code lead."""
    yield from _LINK.findall(_SPAN.sub("", _FENCE.sub("", text)))


def anchors(text: str) -> set[str]:
    """What headings are called in links, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code(text: str) -> Iterator[str]:
    """Lines of code: those of blocks that a shell reads, with lines that go on joined, and spans in prose."""
    for language, block in _FENCE.findall(text):
        if language in SHELL:
            yield from block.replace("\\\n", " ").splitlines()
    yield from _SPAN.findall(_FENCE.sub("", text))


def calls(line: str) -> Iterator[list[str]]:
    """The words after each `aegis` of a shell line; of `--a ID|--b ID` the first. Raises ValueError for a line that no
    shell would read."""
    kept = re.sub(r"(?<=\w)\|(?=\w)", BAR, re.sub(r"(?<=\w)\|-.*", "", line))
    lexer = shlex.shlex(kept, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word.strip("|&;"):
            words.append(word.replace(BAR, "|"))
            continue
        while words and (_ASSIGNED.match(words[0]) or words[0] == "export"):
            words = words[1:]
        if words[:1] == ["aegis"]:
            yield list(_arguments(words[1:]))
        words = []


def _arguments(words: list[str]) -> Iterator[str]:
    """Without redirections, brackets around what may be left out, and dots for more."""
    skip = False
    for word in words:
        if skip or word in (">", ">>", "<"):
            skip = not skip
            continue
        kept = word.strip("[]").rstrip(",:.") if word not in (".", "..") else word
        if kept and not re.match(r"[<>]", kept) and kept != "...":
            yield kept


def problem(arguments: list[str]) -> str | None:
    """Why the command line would refuse these words; None for what it takes. A name with bars in it stands for each of
    them, an upper-case word for anything."""
    command: click.Command = cli
    context = click.Context(command, info_name="aegis")
    words = list(arguments)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        names = words.pop(0).split("|")
        found = [command.get_command(context, name) for name in names]
        if None in found:
            return f"there is no command {' '.join(names)} in {context.command_path}"
        command = next(one for one in found if one is not None)
        context = click.Context(command, info_name=names[0], parent=context)
    if isinstance(command, click.Group):  # a group named in prose, or asked for its help
        return None if not words or words[0] in ("--help", "-h") else f"{words[0]} is no option of it"
    return _refusal(command, context, words)


def _refusal(command: click.Command, context: click.Context, words: list[str]) -> str | None:
    try:
        values, rest, _ = command.make_parser(context).parse_args(args=list(words))
        if rest:
            return f"{rest} is too much"
        for param in command.params:
            value = values.get(param.name or "")
            several = value if isinstance(value, list | tuple) else [value]
            if isinstance(param.type, click.Path | click.File) or any(_is_placeholder(one) for one in several):
                continue  # the file of an example is not here
            if isinstance(value, str | list | tuple):
                param.type_cast_value(context, value)
    except click.ClickException as error:
        return error.format_message()
    return None


def _is_placeholder(value: object) -> bool:
    return isinstance(value, str) and _PLACEHOLDER.fullmatch(value) is not None
