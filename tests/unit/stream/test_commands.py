"""The commands without a broker: their help, their one-line errors, and `aegis score`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ensemble.errors import MomentsVersionError
from experts import registry
from experts.errors import ManifestError
from experts.executor import Panel
from experts.fakes import InstantExpert, SlowExpert
from stream.__main__ import COMMANDS, cli
from stream.commands import ENSEMBLE_EXIT_CODE, EXPERTS_EXIT_CODE, OneLineErrors, exit_code
from stream.errors import BrokerError, FencedError, SettingsError

EXPERTS = tuple(InstantExpert(f"expert{salt}", salt=salt) for salt in range(3))


def invoke(*arguments: str, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli, arguments, input=text)


def turn(number: int, **more: Any) -> str:
    value = {
        "turn_id": f"t{number}",
        "conversation_id": f"c{number % 3}",
        "role": "user",
        "text": f"text {number}",
        "sent_at": "2026-01-01T00:00:00Z",
    }
    return json.dumps({**value, **more})


def commands(group: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    """The words that lead to each command."""
    yield path
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command, *path, name)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.commands.score.open_panel", lambda settings, on_failure: Panel(EXPERTS))


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_every_help_has_an_example_on_lines_of_its_own(path: tuple[str, ...]) -> None:
    shown = invoke(*path, "--help")
    assert shown.exit_code == 0
    assert "\n  Example:\n    " in shown.output or "\n  Examples:\n    " in shown.output


def test_every_command_is_listed_and_one_that_is_not_there_is_refused() -> None:
    assert [line.split()[0] for line in invoke("--help").output.partition("Commands:\n")[2].splitlines()] == list(
        COMMANDS
    )
    assert "No such command 'moderate'" in invoke("moderate").stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FencedError("another worker owns it"), FencedError.exit_code),
        (ManifestError("a sha256 differs"), EXPERTS_EXIT_CODE),
        (MomentsVersionError("schema version 9"), ENSEMBLE_EXIT_CODE),
    ],
)
def test_an_error_of_any_of_our_packages_is_one_line_with_its_exit_code(error: Any, code: int) -> None:
    @click.group(cls=OneLineErrors)
    def group() -> None:
        """A group."""

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert (result.stderr, result.exit_code, exit_code(error)) == (f"Error: {error}\n", code, code)


@pytest.mark.parametrize("command", ["produce", "score"])
@pytest.mark.parametrize(("name", "reason"), [("none.jsonl", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_one_line(command: str, name: str, reason: str) -> None:
    result = invoke(command, name)
    assert (result.exit_code, result.stderr.count("\n"), reason in result.stderr) == (1, 1, True)


@pytest.mark.parametrize(
    "command", [("produce", "-"), ("score", "-"), ("tail", "turns"), ("topics", "seek", "--to", "latest")]
)
def test_a_misspelt_setting_is_one_line(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_BROKR", "x")
    result = invoke(*command, text="")
    assert (result.exit_code, result.stderr.count("\n")) == (SettingsError.exit_code, 1)
    assert "AEGIS_BROKER" in result.stderr


@pytest.mark.parametrize("command", [("produce", "-"), ("tail", "turns"), ("topics", "seek", "--to", "latest")])
def test_a_broker_that_does_not_answer_is_one_line(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_BROKER", "127.0.0.1:1")
    result = invoke(*command, text="")
    assert result.stderr.startswith("Error: no broker answers at 127.0.0.1:1: ")
    assert (result.exit_code, result.stderr.count("\n"), result.stdout) == (BrokerError.exit_code, 1, "")


def test_tail_tells_asked_for_labels_of_verdicts_only() -> None:
    result = invoke("tail", "turns", "--asked")
    assert result.exit_code == 2
    assert "--asked is for verdicts" in result.stderr


@pytest.mark.parametrize("place", ["yesterday", "2026-13-01T00:00:00Z", "2026-01-31T12:00:00"])
def test_a_place_that_is_no_place_or_no_instant_is_refused(place: str) -> None:
    result = invoke("topics", "seek", "--to", place)
    assert result.exit_code == 2
    assert repr(place) in result.stderr


@pytest.mark.usefixtures("fakes")
def test_score_writes_a_verdict_a_line_in_the_order_of_the_turns(tmp_path: Path) -> None:
    (tmp_path / "turns.jsonl").write_text("".join(turn(number) + "\n" for number in range(5000)))
    result = invoke("score", str(tmp_path / "turns.jsonl"))
    verdicts = [json.loads(line) for line in result.stdout.splitlines()]
    assert [verdict["turn_id"] for verdict in verdicts] == [f"t{number}" for number in range(5000)]
    assert [verdict["source"] for verdict in verdicts[:2]] == [
        {"topic": "turns.jsonl", "partition": 0, "offset": offset} for offset in range(2)
    ]
    assert result.exit_code == 0


@pytest.mark.usefixtures("fakes")
def test_score_names_bad_lines_scores_the_others_and_fails_at_the_end() -> None:
    lines = [turn(0), "no json", "", turn(1, role="bot"), turn(2), "{}", turn(3, text="x" * 70_000), turn(4)]
    result = invoke("score", "-", text="\n".join(lines))
    assert [json.loads(line)["turn_id"] for line in result.stdout.splitlines()] == ["t0", "t2", "t4"]
    assert [json.loads(line)["source"]["offset"] for line in result.stdout.splitlines()] == [0, 4, 7]
    said = result.stderr.splitlines()
    assert [line.split(" ")[0] for line in said[:-1]] == ["stdin:2:", "stdin:4:", "stdin:6:", "stdin:7:"]
    assert "over 65536: raise AEGIS_MAX_TEXT_BYTES" in said[3]
    assert said[-1] == "Error: 4 lines of stdin have no verdict, each named above: mend them"
    assert result.exit_code == 1


@pytest.mark.usefixtures("fakes")
def test_score_of_bytes_that_are_no_text_is_a_bad_line_like_any_other() -> None:
    result = invoke("score", "-", text=b"\xff\xfe\n" + turn(1).encode())
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)
    assert result.stderr.startswith("stdin:1: not ")


@pytest.mark.usefixtures("fakes")
def test_score_writes_to_the_file_that_is_named(tmp_path: Path) -> None:
    result = invoke("score", "-", "-o", str(tmp_path / "verdicts.jsonl"), text=turn(1))
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads((tmp_path / "verdicts.jsonl").read_text())["turn_id"] == "t1"
    refused = invoke("score", "-", "-o", str(tmp_path / "none" / "verdicts.jsonl"), text=turn(1))
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)


@pytest.mark.usefixtures("fakes")
def test_score_of_nothing_is_nothing() -> None:
    result = invoke("score", "-", text="")
    assert (result.exit_code, result.output) == (0, "")


def test_score_says_which_expert_slept_and_how_often(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowExpert()

    def panel(settings: Any, on_failure: Any) -> Panel:
        return Panel([*EXPERTS, slow], 0.05, on_failure)

    monkeypatch.setattr("stream.commands.score.open_panel", panel)
    result = invoke("score", "-", text="\n".join(turn(number) for number in range(5)))
    slow.release.set()
    assert result.stderr == "slow@1 slept on 5 turns (timeout): the other experts decided\n"
    assert {json.loads(line)["experts"][3]["status"] for line in result.stdout.splitlines()} == {"timeout"}
    assert result.exit_code == 0


def test_score_runs_the_shipped_experts() -> None:
    result = invoke("score", "-", text="\n".join(turn(number) for number in range(3)))
    assert result.exit_code == 0
    for line in result.stdout.splitlines():
        assert [expert["name"] for expert in json.loads(line)["experts"]] == list(registry.names())


def test_an_experts_folder_that_is_not_as_its_manifest_says_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = registry.ZOO / "lexical", tmp_path / "lexical"
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "model.onnx").write_bytes(b"changed")
    monkeypatch.setenv("AEGIS_EXPERTS_DIR", str(tmp_path))
    result = invoke("score", "-", text=turn(1))
    assert (result.exit_code, result.stderr.count("\n"), result.stdout) == (EXPERTS_EXIT_CODE, 1, "")
    assert "has sha256" in result.stderr
