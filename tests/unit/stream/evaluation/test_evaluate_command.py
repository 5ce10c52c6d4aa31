"""`aegis evaluate` from files to tables, JSON and plots, with experts that need no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from experts.executor import Panel
from experts.fakes import CrashingExpert, InstantExpert
from stream.__main__ import cli
from stream.evaluation.results import ENSEMBLE, MEAN, Report
from support.labelled import KnowingExpert, labelled_lines, write_lines

EXPERTS = (KnowingExpert(), InstantExpert("lots", salt=1), KnowingExpert("replies", 0.5, roles=("assistant",)))
FAST = ("--resamples", "40", "--after", "60")


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stream.commands.evaluate.open_panel", lambda settings, on_failure: Panel(EXPERTS, None, on_failure)
    )


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


def told(result: Result, file: Path) -> Report:
    assert result.exit_code == 0, result.output
    return msgspec.json.decode(file.read_bytes(), type=Report)


def some_set(folder: Path, name: str = "some", count: int = 150, **more: Any) -> Path:
    return write_lines(folder / f"{name}.jsonl", labelled_lines(count, **more))


def test_the_report_has_every_scorer_of_every_set_and_of_their_mix(tmp_path: Path) -> None:
    first, second = some_set(tmp_path, "first", 150), some_set(tmp_path, "second", 90, share=0.1, seed=1)
    report = told(evaluate(first, second, *FAST, "--json", tmp_path / "r.json"), tmp_path / "r.json")
    assert [(place.name, place.rows) for place in report.places] == [("first", 150), ("second", 90), ("mix", 240)]
    assert report.experts == ("knowing@1", "lots@1", "replies@1")
    for place in report.places:
        assert [scorer.name for scorer in place.scorers] == [*report.experts, MEAN, ENSEMBLE]
        assert place.scorers[2].figures.asleep == place.rows - place.rows // 3
        assert {context.role for context in place.contexts} == {"user", "assistant"}
    mix = {scorer.name: scorer.figures.auprc.value or 0.0 for scorer in report.places[-1].scorers}
    assert mix[ENSEMBLE] > mix[MEAN]


def test_the_json_is_the_same_byte_for_byte_and_another_seed_gives_another(tmp_path: Path) -> None:
    file = some_set(tmp_path)
    written = []
    for number, seed in enumerate((0, 0, 1)):
        out = tmp_path / f"{number}.json"
        told(evaluate(file, *FAST, "--seed", seed, "--limit", 100, "--label-rate", 0.5, "--json", out), out)
        written.append(out.read_bytes())
    assert written[0] == written[1] != written[2]


def test_the_tables_name_the_scorers_the_groups_and_who_slept(tmp_path: Path) -> None:
    file = some_set(tmp_path, categories=["Threat [bold]"], attack="roleplay")
    shown = evaluate(file, *FAST).stdout
    for text in ("knowing", "plain mean", "ensemble", "150 rows", "Threat [bold]", "by attack", "roleplay", "left out"):
        assert text in shown
    assert "after 60 labels" in shown


def test_markdown_has_a_row_a_set_and_a_column_a_scorer(tmp_path: Path) -> None:
    lines = evaluate(some_set(tmp_path, "a|b"), some_set(tmp_path, "c", seed=2), *FAST, "--markdown").stdout.split("\n")
    assert "| set | rows | knowing | lots | replies | plain mean | ensemble |" in lines
    tables = [line for line in lines if line.startswith("| ")]
    assert sum(line.startswith("| a&#124;b |") for line in tables) == 4
    (mix,) = [line for line in tables if line.startswith("| mix | 300 |")]
    assert mix.split(" | ")[4].endswith("*")
    assert mix.count("*") == 1
    assert "\\* only on the rows on which it is awake." in lines
    assert all(line.count("|") in (7, 8) for line in tables)


def test_the_plots_of_every_place_are_written(tmp_path: Path) -> None:
    out = tmp_path / "plots" / "here"
    assert evaluate(some_set(tmp_path, "a $b$"), some_set(tmp_path, "c", 20), *FAST, "--out", out).exit_code == 0
    kinds = ("precision-recall", "reliability", "weights", "regret")
    assert {file.name for file in out.iterdir()} == {
        f"{place}-{kind}.png" for place in ("a-b-", "c", "mix") for kind in kinds
    }
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in out.iterdir())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_rows_of_one_class_are_measured_as_far_as_they_can_be(tmp_path: Path, share: float) -> None:
    out = tmp_path / "r.json"
    ran = evaluate(some_set(tmp_path, share=share), *FAST, "--json", out, "--out", tmp_path / "plots")
    figures = told(ran, out).places[0].scorers[-1].figures
    assert figures.auprc.value is None
    assert (figures.at[0].recall.value is None) == (share == 0.0)
    assert "not defined" in ran.stdout


def test_a_bad_line_ends_it_with_its_place_and_the_remedy_or_is_counted(tmp_path: Path) -> None:
    file = some_set(tmp_path)
    with file.open("a") as lines:
        lines.write('{"text": "x"}\n')
    refused = evaluate(file, *FAST)
    assert refused.exit_code == 1
    assert f"{file}:151: " in refused.stderr
    assert "--skip-bad" in refused.stderr
    out = tmp_path / "r.json"
    assert told(evaluate(file, *FAST, "--skip-bad", "--json", out), out).places[0].bad == 1


def test_a_set_without_labels_is_left_out_and_nothing_but_such_sets_is_refused(tmp_path: Path) -> None:
    unlabelled = write_lines(tmp_path / "u.jsonl", [{"text": "x", "unsafe": None}] * 3)
    out = tmp_path / "r.json"
    ran = evaluate(some_set(tmp_path), unlabelled, *FAST, "--json", out)
    assert [place.name for place in told(ran, out).places] == ["some"]
    assert "u.jsonl has no labelled row (3 without a label)" in ran.stderr
    assert evaluate(unlabelled).exit_code == 1


def test_the_policy_decides_what_needs_caution_is_and_where_is_flagged(tmp_path: Path) -> None:
    rows = labelled_lines(60)
    for row in rows[::3]:
        row |= {"unsafe": None, "categories": ["Needs Caution"]}
    file = write_lines(tmp_path / "some.jsonl", rows)
    unsafe = {}
    for policy, threshold in (("permissive", 0.5), ("defensive", 0.35)):
        out = tmp_path / f"{policy}.json"
        report = told(evaluate(file, *FAST, "--policy", policy, "--json", out), out)
        unsafe[policy] = report.places[0].unsafe
        assert report.options.main_threshold == threshold
    assert unsafe["defensive"] - unsafe["permissive"] == 20


def test_an_expert_that_fails_is_named_and_left_out_where_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = CrashingExpert(lambda passage: passage.role == "assistant")
    monkeypatch.setattr(
        "stream.commands.evaluate.open_panel",
        lambda settings, on_failure: Panel((EXPERTS[0], failing), None, on_failure),
    )
    out = tmp_path / "r.json"
    ran = evaluate(some_set(tmp_path), *FAST, "--json", out)
    report = told(ran, out)
    slept = report.places[0].scorers[1].figures.asleep
    assert report.failures == {"crashing@1: error": slept}
    assert slept >= 50
    assert "crashing@1: error" in ran.stderr


def test_another_order_is_the_same_rows_learned_in_another_order(tmp_path: Path) -> None:
    file, reports = some_set(tmp_path), []
    for number, order in enumerate(([], ["--shuffle", 4])):
        out = tmp_path / f"{number}.json"
        reports.append(told(evaluate(file, *FAST, *order, "--json", out), out).places[0].scorers)
    given, shuffled = reports
    assert given[0].figures.auprc.value == shuffled[0].figures.auprc.value
    assert given[-1].figures.auprc.value != shuffled[-1].figures.auprc.value


def test_the_json_names_no_text_of_any_row(tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    told(evaluate(some_set(tmp_path), *FAST, "--json", out), out)
    assert "wicked" not in json.dumps(json.loads(out.read_text()))


def test_what_takes_long_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.commands.progress.PLAIN_SECONDS", -1.0)
    told_of = evaluate(some_set(tmp_path), *FAST).stderr.splitlines()
    assert [line for line in told_of if line.startswith("scoring")] == ["scoring 128 of 150", "scoring 150 of 150"]
    assert "measuring 150 of 150" in told_of
