"""The documents say what the code does: generated pages do not drift, links lead somewhere, commands and settings that
are written anywhere are there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from stream import reference
from stream.__main__ import cli
from stream.settings import PREFIX, TEST_PREFIX, Settings
from support.documents import ROOT, anchors, calls, code, documents, links, problem

VARIABLE = re.compile(rf"\b{PREFIX}[A-Z_]+\b\*?")


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("name", sorted(reference.files()))
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    published = (reference.FOLDER / name).read_text("utf-8")
    assert published == reference.files()[name], "run `make docs`"


def test_every_setting_has_its_row_with_its_meaning() -> None:
    rows = [line.split(" | ") for line in reference.settings().splitlines() if line.startswith(f"| `{PREFIX}")]
    assert [row[0].strip("| `") for row in rows] == [PREFIX + name.upper() for name in Settings.model_fields]
    assert [row[0] for row in rows if len(row) != 4 or len(row[3].strip(" |")) < 10] == []


def test_the_readme_is_short() -> None:
    """Details go to the guides under deploy/docs, which it links."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 200


@pytest.mark.parametrize("file", documents(), ids=named)
def test_every_link_leads_somewhere(file: Path) -> None:
    for link in links(file.read_text("utf-8")):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target.read_text("utf-8")), f"{link}: there is no such heading"


@pytest.mark.parametrize("file", documents(), ids=named)
def test_every_command_is_one_that_the_command_line_takes(file: Path) -> None:
    for line in code(file.read_text("utf-8")):
        if re.search(r"\baegis [a-z]", line):
            for arguments in calls(line):
                assert problem(arguments) is None, f"{line.strip()}: {problem(arguments)}"


@pytest.mark.parametrize("file", documents(), ids=named)
def test_every_variable_is_a_setting(file: Path) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for found in VARIABLE.findall(file.read_text("utf-8")):
        stem = found.rstrip("*")
        if not found.startswith(TEST_PREFIX):
            fits = any(name.startswith(stem) for name in known) if stem.endswith("_") else stem in known
            assert fits, f"{found} is no setting"


@pytest.mark.parametrize("file", documents(), ids=named)
def test_every_target_of_make_is_there(file: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for line in code(file.read_text("utf-8")):
        for target in re.findall(r"(?:^|&& |; )make ([a-z][a-z-]*)(?![\w*-])", line.strip()):
            assert target in targets, f"make {target}: there is no such target"


def helps(group: click.Command, *path: str) -> list[tuple[str, ...]]:
    """The words that lead to each command."""
    names = group.list_commands(click.Context(group)) if isinstance(group, click.Group) else []
    found = [path]
    for name in names:
        assert isinstance(group, click.Group)
        command = group.get_command(click.Context(group), name)
        assert command is not None
        found += helps(command, *path, name)
    return found


def test_every_example_of_a_help_is_a_line_that_the_command_line_takes() -> None:
    checked = 0
    for section in re.split(r"^## ", reference.commands(), flags=re.MULTILINE)[1:]:
        shown = re.search(r"^  Examples?:\n((?:    .*\n)+)", section, re.MULTILINE)
        assert shown is not None, f"{section.splitlines()[0]} has no example"
        for line in shown[1].splitlines():
            for arguments in calls(line):
                assert problem(arguments) is None, f"{line.strip()}: {problem(arguments)}"
                checked += 1
    assert checked >= len(helps(cli))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("aegis tail verdicts --asked", None),
        ("AEGIS_X=1 aegis worker &", None),
        ("aegis experts enable|shadow|disable NAME", None),
        ("echo x | aegis produce - > out.txt  # a comment", None),
        ("aegis tail verdicts --since-when 2h", "No such option: --since-when"),
        ("aegis moderate", "there is no command moderate in aegis"),
        ("aegis tail verdicts labels", "is too much"),
        ("aegis replay --label-rate much", "'much' is not a valid float range"),
        ("aegis topics grow --partitions", "requires an argument"),
    ],
)
def test_a_line_that_the_command_line_would_refuse_is_found(line: str, says: str | None) -> None:
    (arguments,) = calls(line)
    found = problem(arguments)
    assert found == says if says is None or found is None else says in found
