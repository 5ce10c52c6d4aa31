from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from experts.errors import TrainingError
from experts.train import command, lexical, own_command, shipped


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(TrainingError, match="no_such_package is not installed: `make setup-train`"):
        command.need("json", "no_such_package")


@pytest.mark.parametrize(
    ("main", "more"),
    [
        (lexical.main, ["--out", "out"]),
        (shipped.main, ["--out", "out", "--base", "minilm"]),
        (own_command.encoder, ["--name", "x", "--experts-dir", "out"]),
    ],
)
def test_training_without_its_packages_is_one_line_and_no_traceback(
    main: click.Command, more: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["--data", str(tmp_path), *more])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "make setup-train" in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.train
def test_training_without_data_is_one_line_and_writes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs the extra `train`: make setup-train")
    pytest.importorskip("onnx", reason="needs the extra `train`: make setup-train")
    result = CliRunner().invoke(lexical.main, ["--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "is not there: --data names the folder" in result.output
    assert not (tmp_path / "out").exists()
