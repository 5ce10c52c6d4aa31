"""`aegis evaluate` with the experts that are shipped."""

from __future__ import annotations

from pathlib import Path

import msgspec
from click.testing import CliRunner

from experts.registry import names
from stream.__main__ import cli
from stream.evaluation.results import Report
from support.labelled import labelled_lines, write_lines


def test_a_shipped_expert_is_measured_by_its_name(tmp_path: Path) -> None:
    name, out = names()[0], tmp_path / "r.json"
    file = write_lines(tmp_path / "some.jsonl", labelled_lines(20))
    ran = CliRunner().invoke(
        cli, ["evaluate", str(file), "--experts", name, "--device", "cpu", "--limit", "12", "--json", str(out)]
    )
    assert ran.exit_code == 0, ran.output
    report = msgspec.json.decode(out.read_bytes(), type=Report)
    assert [expert.partition("@")[0] for expert in report.experts] == [name]
    assert report.places[0].rows == 12
    assert report.failures == {}


def test_an_expert_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "some.jsonl", labelled_lines(5))
    ran = CliRunner().invoke(cli, ["evaluate", str(file), "--experts", "nobody"])
    assert ran.exit_code == 10
    assert "nobody" in ran.stderr.splitlines()[-1]
