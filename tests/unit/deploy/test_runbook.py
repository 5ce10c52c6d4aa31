"""The runbook has what whoever is on call looks for, and every command in it exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import click
import pytest
from click.testing import CliRunner

from stream import errors
from stream.__main__ import cli
from stream.codecs import SCHEMA_REASONS
from stream.commands import ENSEMBLE_EXIT_CODE, EXPERTS_EXIT_CODE
from stream.condition import State
from stream.settings import Settings
from support.promql import DEPLOY, alerts

RUNBOOK: Final = (DEPLOY / "runbook.md").read_text("utf-8")
OPERATIONS: Final = (DEPLOY / "docs" / "operations.md").read_text("utf-8")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(aegis [^`]+)`")


@dataclass(frozen=True)
class Line:
    """A command as the runbook has it. `whole`: it is to be copied, so nothing may be missing."""

    text: str
    whole: bool


def slug(heading: str) -> str:
    """The anchor that a heading gets on the usual hosts."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def anchors(text: str) -> list[str]:
    return [slug(heading) for _, heading in _HEADING.findall(_FENCE.sub("", text))]


def sections() -> dict[str, str]:
    """What stands under each heading, up to the next of any depth."""
    parts = _HEADING.split(RUNBOOK)
    return {parts[n + 1]: parts[n + 2] for n in range(1, len(parts) - 2, 3)}


def lines() -> Iterator[Line]:
    for block in _FENCE.findall(RUNBOOK):
        yield from (Line(line, True) for line in block.splitlines() if "aegis " in line.split("#")[0])
    yield from (Line(text, False) for text in dict.fromkeys(_INLINE.findall(RUNBOOK)))


def arguments(text: str) -> list[str]:
    """Behind `aegis`; variables set before it are checked too."""
    words = shlex.split(text, comments=True)
    variables = [word.partition("=")[0] for word in words[: words.index("aegis")]]
    assert {v.removeprefix("AEGIS_").lower() for v in variables} <= Settings.model_fields.keys(), text
    return words[words.index("aegis") + 1 :]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands that were parsed, with all their arguments, and would have run now."""
    found: list[str] = []

    def record(command: click.Command, context: click.Context) -> Any:
        if not isinstance(command, click.Group):
            found.append(context.command_path)

    monkeypatch.setattr(click.Command, "invoke", record)
    return found


@pytest.mark.parametrize("line", [line for line in lines() if "kafka-" not in line.text], ids=lambda line: line.text)
def test_every_command_of_the_runbook_is_one(line: Line, parsed: list[str]) -> None:
    result = CliRunner().invoke(cli, arguments(line.text), prog_name="aegis")
    if line.whole or not any(said in result.output for said in ("Missing ", "requires an argument")):
        assert result.exit_code == 0, result.output
        assert len(parsed) == 1, result.output
        assert line.text.partition("aegis")[2].split()[0] in parsed[0]


def test_a_command_that_is_none_would_be_found(parsed: list[str]) -> None:
    for wrong in (
        "topics shrink",
        "topics grow --partitions many",
        "labels revoke --annotator",
        "tail turns --sinc 1h",
    ):
        assert CliRunner().invoke(cli, wrong.split(), prog_name="aegis").exit_code == 2
    assert parsed == []


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_has_its_section_and_leads_to_it(alert: dict[str, Any]) -> None:
    name, url = alert["alert"], alert["annotations"]["runbook_url"]
    assert url == f"deploy/runbook.md#{slug(name)}"
    section = sections()[name]
    assert section.lstrip().startswith("**Means.**")
    assert "**Do.**" in section
    assert ("**Page" in section) == (alert["labels"]["severity"] == "page"), (
        "the section says whether it wakes somebody"
    )


def test_no_section_is_about_an_alert_that_is_gone() -> None:
    assert {heading for heading in sections() if heading.startswith("Aegis")} == {rule["alert"] for rule in alerts()}


def test_every_anchor_leads_somewhere_and_every_file_is_there() -> None:
    mine = anchors(RUNBOOK)
    assert len(set(mine)) == len(mine)
    for target in re.findall(r"\]\(([^)]+)\)", RUNBOOK):
        path, _, anchor = target.partition("#")
        assert not path or (DEPLOY / path).is_file(), target
        if anchor:
            assert anchor in (anchors((DEPLOY / path).read_text("utf-8")) if path else mine), target


def codes(error: type[errors.StreamError] = errors.StreamError) -> set[int]:
    return {error.exit_code}.union(*map(codes, error.__subclasses__()))


def test_every_exit_code_has_its_row() -> None:
    rows = re.findall(r"^\| (\d+) \|", sections()["Exit codes"], re.MULTILINE)
    assert [int(row) for row in rows] == sorted({0, *codes(), EXPERTS_EXIT_CODE, ENSEMBLE_EXIT_CODE})


def test_every_condition_is_told_of() -> None:
    for state in set(State) - {State.READY}:
        assert f"| `{state}` |" in sections()["AegisWorkerNotReady"], state
    for state in State:
        assert f"| `{state}` |" in OPERATIONS, state


def test_every_reason_of_a_dead_letter_has_its_remedy() -> None:
    source = "".join(path.read_text("utf-8") for path in (DEPLOY.parent / "stream").glob("*.py"))
    reasons = set(re.findall(r'Rejected\(\s*"(\w+)"', source)) | {reason for _, reason in SCHEMA_REASONS}
    assert len(reasons) > 10
    assert [reason for reason in reasons if f"`{reason}`" not in sections()["AegisDeadLetters"]] == []


def test_every_setting_that_is_named_exists() -> None:
    named = {name.lower() for name in re.findall(r"\bAEGIS_([A-Z_]+)\b", RUNBOOK + OPERATIONS)}
    assert {name for name in named if name not in Settings.model_fields} <= {"sasl_"}
