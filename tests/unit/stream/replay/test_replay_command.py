"""`aegis replay` from files to a table, JSON and a page."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from experts.executor import Panel
from experts.fakes import InstantExpert
from stream.__main__ import cli
from stream.replay.results import Replay
from support.labelled import KnowingExpert, labelled_lines, write_lines
from support.streams import BEGAN, judged_line, lines, made_up


def replay(*arguments: object, code: int = 0, env: dict[str, str] | None = None, given: bytes | None = None) -> Result:
    result = CliRunner(env=env).invoke(cli, ["replay", *map(str, arguments)], input=given)
    assert result.exit_code == code, result.output
    return result


def told(folder: Path, *arguments: object, **more: Any) -> Replay:
    out = folder / "found.json"
    replay(*arguments, "--json", out, **more)
    return msgspec.json.decode(out.read_bytes(), type=Replay)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    verdicts, labels = made_up(200)
    paths = tmp_path / "verdicts.jsonl", tmp_path / "labels.jsonl"
    for path, rows in zip(paths, (verdicts, labels), strict=True):
        path.write_bytes(lines(rows))
    return paths


def test_the_figures_of_a_context_are_those_of_its_labels(tmp_path: Path, files: tuple[Path, Path]) -> None:
    found = told(tmp_path, *files)
    ((phase,),) = [run.phases for run in found.runs]
    assert (phase.context, phase.policy, phase.turns, phase.rounds) == ("acme/user", "permissive", 200, 200)
    assert phase.best == "good@1"
    weights = {standing.expert: standing.weight for standing in phase.experts}
    assert weights["good@1"] > 0.9
    losses = {standing.expert: standing.loss for standing in phase.experts}
    assert phase.regret == pytest.approx(phase.loss - losses["good@1"], abs=1e-5)
    assert phase.delay > 0
    assert phase.ratio <= 1.0
    assert not phase.alarm
    assert sum(decile.count for decile in found.runs[0].reliability) == 200
    assert found.delays is not None
    assert (found.delays.half, found.delays.all) == (300.0, 300.0)
    assert phase.points[-1].rounds == 200
    assert phase.points[-1].loss == phase.loss


def test_the_same_input_and_options_give_the_same_bytes(tmp_path: Path, files: tuple[Path, Path]) -> None:
    how = ("--label-rate", 0.5, "--delay", "10m", "--switch-policy", "defensive@50%", "--forecaster", "squint")
    written = []
    for number in range(2):
        found, page = tmp_path / f"{number}.json", tmp_path / f"{number}.html"
        printed = replay(*files, *how, "--json", found, "--out", page).stdout
        written.append((printed, found.read_bytes(), page.read_bytes()))
    assert written[0] == written[1]


def test_the_table_names_every_scorer_and_what_was_tried(files: tuple[Path, Path]) -> None:
    printed = replay(*files, "--delay", "1h", "--delay-turns", 3, "--label-rate", 0.5, "--together", 2).stdout
    assert "200 turns, 200 labels" in printed
    words = " ".join(printed.split())
    assert "Tried: the policies of the settings; labels 60 min and 3 turns later than they came; 0.5 of the" in words
    assert "each counted 2 times; 2 labels learned together; forecaster exponential." in words
    for name in ("ensemble", "good@1", "lots@1", "best", "under its bound"):
        assert name in printed


def test_more_delay_means_more_missing_labels_and_a_label_rate_fewer_rounds(
    tmp_path: Path, files: tuple[Path, Path]
) -> None:
    now, later, turns, fewer = (
        told(tmp_path, *files, *how).runs[0].phases[0]
        for how in ((), ("--delay", "2h"), ("--delay-turns", 50), ("--label-rate", 0.3))
    )
    assert now.delay < turns.delay < later.delay
    assert now.rounds == later.rounds == turns.rounds == 200
    assert 30 < fewer.rounds < 90
    assert fewer.weighed == pytest.approx(fewer.rounds / 0.3)


def test_a_policy_switch_is_a_phase_of_its_own_at_a_share_or_a_time(tmp_path: Path, files: tuple[Path, Path]) -> None:
    when = (BEGAN + timedelta(minutes=50)).isoformat()
    for text in ("defensive@0.25", "defensive@25%", f"defensive@{when}"):
        found = told(tmp_path, *files, "--switch-policy", text)
        phases = found.runs[0].phases
        assert [(phase.policy, phase.since, phase.turns) for phase in phases] == [
            ("permissive", 0, 50), ("defensive", 50, 150),
        ]  # fmt: skip
        assert sum(phase.rounds for phase in phases) == 200
        assert phases[1].points[0].rounds == 0


def test_policies_are_those_of_the_settings_unless_named(tmp_path: Path, files: tuple[Path, Path]) -> None:
    env = {
        "AEGIS_POLICIES": json.dumps({"strict": {"like": "defensive", "costs": [1, 1, 5]}}),
        "AEGIS_TENANT_POLICIES": json.dumps({"acme": "strict"}),
    }
    assert told(tmp_path, *files, env=env).runs[0].phases[0].policy == "strict"
    assert told(tmp_path, *files, "--policy", "defensive", env=env).runs[0].phases[0].policy == "defensive"
    assert "there is no policy 'nobody'" in replay(*files, "--policy", "nobody", code=2).output
    assert "there is no policy 'nobody'" in replay(*files, "--switch-policy", "nobody@0.5", code=2).output


def test_every_forecaster_has_a_run_of_its_own(tmp_path: Path, files: tuple[Path, Path]) -> None:
    found = told(tmp_path, *files, "--forecaster", "exponential", "--forecaster", "mean", "--forecaster", "mean")
    assert [run.forecaster for run in found.runs] == ["exponential", "mean"]
    alone = told(tmp_path, *files, "--forecaster", "mean").runs[0]
    assert found.runs[1] == alone


@pytest.mark.parametrize("text", ["defensive", "defensive@", "@0.5", "defensive@2", "defensive@2026-01-01T00:00:00"])
def test_a_switch_that_is_none_is_refused_with_what_to_write(files: tuple[Path, Path], text: str) -> None:
    assert "is no switch: write NAME@" in replay(*files, "--switch-policy", text, code=2).output


def test_a_bad_line_is_named_the_others_count_and_the_exit_code_is_1(tmp_path: Path, files: tuple[Path, Path]) -> None:
    with files[1].open("ab") as more:
        more.write(b'{"secret": 1}\nsecret\n')
    out = tmp_path / "r.json"
    result = replay(*files, "--json", out, code=1)
    assert "labels.jsonl:201: neither a verdict" in result.stderr
    assert "labels.jsonl:202: " in result.stderr
    assert "2 lines were not read" in result.stderr
    assert "secret" not in result.output
    read = msgspec.json.decode(out.read_bytes(), type=Replay).read
    assert (read.labels, read.learned, read.bad) == (200, 200, 2)


def test_input_without_a_verdict_is_refused_in_one_line(tmp_path: Path, files: tuple[Path, Path]) -> None:
    assert "hold no verdict" in replay(files[1], code=1).output
    assert "No such file" in replay(tmp_path / "missing", code=1).output
    assert "not both" in replay(*files, "--broker", "nowhere:1", code=2).output
    for late in (("--delay", "1h"), ("--delay-turns", 1), ("--label-rate", 0.5)):
        assert "takes labels as they were read" in replay(*files, "--as-published", *late, code=2).output
    assert "is no duration" in replay(*files, "--delay", "soon", code=2).output


def test_both_kinds_of_lines_may_come_mixed_through_a_pipe(tmp_path: Path, files: tuple[Path, Path]) -> None:
    mixed = b"".join(file.read_bytes() for file in reversed(files))
    piped, read = told(tmp_path, "-", given=mixed), told(tmp_path, *files)
    assert piped.runs == read.runs


def test_labelled_turns_are_scored_by_the_experts_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experts = (KnowingExpert(), InstantExpert("lots", salt=1))
    monkeypatch.setattr(
        "stream.commands.replay_input.open_experts", lambda settings, on_failure: Panel(experts, None, on_failure)
    )
    file = write_lines(tmp_path / "labelled.jsonl", labelled_lines(150))
    found = told(tmp_path, file, "--delay-turns", 10)
    assert {phase.context: phase.rounds for phase in found.runs[0].phases} == {"user": 100, "assistant": 50}
    assert {phase.best for phase in found.runs[0].phases} == {"knowing@1"}
    verdicts = tmp_path / "v.jsonl"
    verdicts.write_bytes(lines([judged_line(0, {"a": 0.5}, BEGAN)]))
    assert "give them alone" in replay(file, verdicts, code=1).output
    assert "give them alone" in replay(file, "--as-published", code=1).output


def test_as_published_the_losses_are_those_of_the_published_scores(tmp_path: Path, files: tuple[Path, Path]) -> None:
    published, anew = told(tmp_path, *files, "--as-published"), told(tmp_path, *files)
    mean_of_both = published.runs[0].phases[0].loss
    assert mean_of_both > 1.5 * anew.runs[0].phases[0].loss
    assert [s.loss for s in published.runs[0].phases[0].experts] == [s.loss for s in anew.runs[0].phases[0].experts]


def test_the_page_stands_alone_and_has_every_plot(tmp_path: Path, files: tuple[Path, Path]) -> None:
    out = tmp_path / "report.html"
    replay(*files, "--switch-policy", "defensive@0.5", "--forecaster", "mean", "--forecaster", "leader", "--out", out)
    page = out.read_text()
    pictures = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    plots = [picture for picture in pictures if picture.attrib.get("role") == "img"]
    assert len(plots) == 2 * 2 * 3 + 2 + 1 + 2  # of each phase and rule, compared, delays, reliability of each rule
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    alone = page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?://|src=|@import|url\(|<script|<link(?! rel=\"icon\" href=\"data:,\")", alone)
    assert "Tried: the policies of the settings; defensive from 0.5 on;" in page
    assert not re.search(r"\b(nan|inf)\b", re.sub(r"<[^>]+>", " ", page[page.index("<body>") :]))


def test_a_name_from_outside_is_escaped_on_the_page(tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>&"
    rows = [judged_line(n, {nasty: 0.5}, BEGAN, context=f"{nasty}/user") for n in range(3)]
    file, out = tmp_path / "v.jsonl", tmp_path / "r.html"
    file.write_bytes(lines(rows))
    replay(file, "--out", out)
    assert "<script" not in out.read_text()


def test_what_takes_long_says_how_far_it_is(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.commands.progress.PLAIN_SECONDS", -1.0)
    assert "replayed 200 of 200" in replay(*files).stderr.splitlines()


def test_of_many_contexts_the_busiest_are_drawn_and_all_are_in_the_table(tmp_path: Path) -> None:
    verdicts, labels = made_up(150)
    for number, row in enumerate(verdicts):
        row["context"] = f"tenant{number % 50}/user" if number >= 3 else "busy/user"
    file, out = tmp_path / "v.jsonl", tmp_path / "r.html"
    file.write_bytes(lines(verdicts + labels))
    printed = replay(file, "--out", out).stdout
    page = out.read_text()
    assert page.count('<details class="context"') == 40
    assert "all 51 are in the table above" in page
    assert page.count('<tr><th scope="row">tenant') == 50
    assert "39 more are in what --json and --out write." in printed
