"""`aegis experts`, as it is typed."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from experts.manifest import Backbone
from experts.registry import names
from stream.__main__ import cli
from support import tiny_onnx


def run(*words: Any, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["experts", *map(str, words)], input=text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one expert, `sound`."""
    tiny_onnx.write(tmp_path / "root" / "sound")
    return tmp_path / "root"


def test_the_list_tells_of_every_expert_backbone_and_broken_folder(root: Path) -> None:
    tiny_onnx.write(root / "encoder", tiny_onnx.model(tiny_onnx.table(4)), means=(), kind="backbone")
    tiny_onnx.write(root / "rude", kind="head", backbone=Backbone("encoder", "0" * 64))
    shown = run("list", "--experts-dir", root)
    assert shown.exit_code == 0
    rows = {line.split()[0]: line.split() for line in shown.output.splitlines()[1:] if not line.startswith(" ")}
    assert rows["sound"][1:7] == ["1", "classifier", "0.0", "MB", "–", "no"]
    assert rows["rude"][5] == "encoder"
    assert rows["encoder"][2] == "backbone"
    (root / "rude" / "manifest.json").write_text("{")
    shown = run("list", "--experts-dir", root)
    assert shown.exit_code == 10
    assert "broken" in shown.output
    assert "rude/manifest.json is not a valid manifest" in shown.output


def test_without_a_folder_the_shipped_experts_are_listed() -> None:
    shown = run("list")
    assert shown.exit_code == 0
    assert all(name in shown.output for name in names())


def test_the_folder_of_the_settings_is_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_EXPERTS_DIR", str(root))
    assert "sound" in run("list").output


def test_an_expert_is_shown_with_its_manifest_and_its_card(root: Path) -> None:
    (root / "sound" / "README.md").write_text("# Some card\n\nWords of the card.")
    shown = run("show", "sound", "--experts-dir", root)
    assert shown.exit_code == 0
    assert "sound@1" in shown.output
    assert "label 0 = unsafe (sigmoid)" in shown.output
    assert "Words of the card." in shown.output


@pytest.mark.parametrize("command", ["show", "verify", "bench", "remove"])
def test_a_name_that_is_not_there_is_refused_with_those_that_are(root: Path, command: str) -> None:
    shown = run(command, "nobody", "--experts-dir", root)
    assert shown.exit_code == 10
    assert f"there is no expert 'nobody' in {root}, only sound" in shown.output


def test_verification_says_what_it_found_good(root: Path) -> None:
    shown = run("verify", "--experts-dir", root)
    assert shown.exit_code == 0
    assert shown.stdout.count("sound: ") == 4
    assert shown.stdout.endswith("it is as it should be\n")


def test_verification_names_every_bad_expert_and_ends_with_10(root: Path) -> None:
    tiny_onnx.write(root / "corrupt", b"no model")
    (tiny_onnx.write(root / "altered") / "model.onnx").write_bytes(b"x")
    shown = run("verify", "--experts-dir", root)
    assert shown.exit_code == 10
    assert "corrupt: the model of corrupt@1 cannot be loaded" in shown.stderr
    assert "altered: " in shown.stderr
    assert "2 of 3 experts cannot be trusted" in shown.stderr
    assert shown.stdout.count("sound: ") == 4
    assert run("verify", "sound", "--experts-dir", root).exit_code == 0


def test_the_shipped_experts_are_as_they_should_be() -> None:
    shown = run("verify", *names()[:1])
    assert shown.exit_code == 0, shown.output


def test_a_bench_has_a_row_for_each_expert(root: Path, tmp_path: Path) -> None:
    tiny_onnx.write(root / "second")
    (tmp_path / "texts.txt").write_text("one text\n\nand another one\n")
    shown = run("bench", "--experts-dir", root, "--seconds", "0.1", "--texts", tmp_path / "texts.txt", "--budget", 4)
    assert shown.exit_code == 0
    rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines()}
    assert rows["sound@1"][1] == rows["second@1"][1] == "2"
    assert rows["sound@1"][3] == "4"
    assert float(rows["sound@1"][2].replace(",", "")) > 0


@pytest.mark.parametrize("content", [None, "\n \n"])
def test_a_file_without_texts_is_refused(root: Path, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "texts.txt").write_text(content)
    shown = run("bench", "--experts-dir", root, "--texts", tmp_path / "texts.txt")
    assert shown.exit_code == 2
    assert "--texts names a file with a text a line" in shown.output


@pytest.mark.parametrize(("answer", "left"), [("y\n", ()), ("n\n", ("sound",)), ("", ("sound",))])
def test_an_expert_is_removed_when_that_is_confirmed(root: Path, answer: str, left: tuple[str, ...]) -> None:
    shown = run("remove", "sound", "--experts-dir", root, text=answer)
    assert shown.exit_code == (0 if not left else 1)
    assert names(root) == left


def test_a_backbone_that_heads_stand_on_is_not_removed(root: Path) -> None:
    tiny_onnx.write(root / "encoder", kind="backbone")
    tiny_onnx.write(root / "rude", kind="head", backbone=Backbone("encoder", "0" * 64))
    shown = run("remove", "encoder", "--yes", "--experts-dir", root)
    assert shown.exit_code == 10
    assert "rude stand on encoder: remove them first" in shown.output
    assert run("remove", "rude", "--yes", "--experts-dir", root).exit_code == 0
    assert run("remove", "encoder", "--yes", "--experts-dir", root).exit_code == 0
    assert [path.name for path in root.iterdir()] == ["sound"]


@pytest.mark.parametrize("words", [("remove", names()[0], "--yes"), ("add", "anything")])
def test_the_shipped_experts_are_read_only(words: tuple[str, ...]) -> None:
    shown = run(*words)
    assert shown.exit_code == 2
    assert "AEGIS_EXPERTS_DIR" in shown.output
    assert names()


def test_without_the_packages_the_command_says_how_to_get_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experts.train.command.importlib.util.find_spec", lambda name: None)
    shown = run("add", "anything", "--experts-dir", root)
    assert shown.exit_code == 10
    assert "make setup-train" in shown.output
