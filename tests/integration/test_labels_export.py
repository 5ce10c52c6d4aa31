"""`aegis labels export`: what people labelled, from the topics to a file that the trainer and the evaluation read."""

from __future__ import annotations

import asyncio
import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ensemble.policy import CLASSES
from experts.train.turns import read_lessons
from stream import asked
from stream.__main__ import cli
from stream.evaluation.data import read_set
from stream.records import Erasure, Label, Revocation, Turn
from stream.settings import Settings
from stream.topics import TopicNames
from support.flow import label, record_of, turn
from support.kafka import produce
from support.worker_process import environment

NOW = datetime.now(UTC)


def send(settings: Settings, turns: list[Turn], labels: list[Label]) -> None:
    names = TopicNames.of(settings)
    asyncio.run(produce(settings.broker, names.turns, map(record_of, turns)))
    asyncio.run(produce(settings.broker, names.labels, map(record_of, labels)))


def export(settings: Settings, *arguments: str) -> Result:
    return CliRunner(env=environment(settings)).invoke(cli, ["labels", "export", *arguments])


def rows(file: Path) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in map(json.loads, file.read_text(encoding="utf-8").splitlines())}


@pytest.fixture
def labelled(topics: Settings) -> Settings:
    """A conversation whose turns are labelled by several people, some of whom changed their mind or are not trusted."""
    talk = {"conversation_id": "talk"}
    turns = [
        turn("q", "Which train goes to Braga?", **talk),
        turn("a", "The one at 9:15.", role="assistant", **talk),
        turn("q2", "And back?", **talk),
        turn("other", "Nobody labels this."),
        turn("acme", "Of another tenant.", tenant="acme"),
    ]
    labels = [
        label("q", "safe", "ann", **talk),
        label("q", "safe", "ben", **talk),
        label("q", "unsafe", "cleo", **talk, categories=("harassment",)),
        label("a", "needs_caution", "ann", **talk, labelled_at=NOW + timedelta(seconds=-5)),
        label("a", "unsafe", "ann", **talk, labelled_at=NOW + timedelta(seconds=-9)),
        label("q2", "unsafe", "ann", **talk, categories=("fraud_deception", "malware")),
        label("q2", "safe", "mallory", **talk),
        label("acme", "safe", "ann", tenant="acme"),
        label("unknown", "safe", "ann"),
    ]
    send(topics, turns, labels)
    asyncio.run(asked.ask(topics, Revocation("mallory", None, NOW - timedelta(days=1), NOW + timedelta(days=1), NOW)))
    return topics


def test_a_file_has_every_annotators_vote_and_is_read_by_the_evaluation_and_the_trainer(
    labelled: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "labelled.jsonl"
    result = export(labelled, "--out", str(file))
    assert (result.exit_code, result.stderr) == (0, f"4 labelled turns written to {file}\n")
    found = rows(file)
    votes = {name: sorted(str(row[f"labels_{n}"]) for n in range(5)) for name, row in found.items()}
    assert votes == {
        "q": ["", "", "Harassment", "Safe", "Safe"],
        "a": ["", "", "", "", "Needs Caution"],
        "q2": ["", "", "", "", "Fraud/Deception, Malware"],
        "acme": ["", "", "", "", "Safe"],
    }
    assert found["q2"]["history"] == [
        {"role": "user", "text": "Which train goes to Braga?"},
        {"role": "assistant", "text": "The one at 9:15."},
    ]
    assert not any(f'"{name}"' in file.read_text(encoding="utf-8") for name in ("ann", "ben", "cleo", "mallory"))
    data = read_set("ours", file)
    assert (data.unlabelled, data.bad) == (0, 0)
    assert {row.passage.text: CLASSES[row.label] for row in data.rows} == {
        "Which train goes to Braga?": "safe",
        "The one at 9:15.": "needs_caution",
        "And back?": "unsafe",
        "Of another tenant.": "safe",
    }
    assert {len(row.passage.history) for row in data.rows if row.passage.text == "And back?"} == {2}
    for reading, cautious in (("permissive", 0.0), ("defensive", 1.0)):
        lessons = {one.passage.text: one.unsafe for one in read_lessons(file, reading)}  # type: ignore[arg-type]
        assert lessons["Which train goes to Braga?"] == pytest.approx(1 / 3)
        assert (lessons["And back?"], lessons["The one at 9:15."]) == (1.0, cautious)


def test_a_table_a_tenant_and_a_time_can_be_asked_for(labelled: Settings, tmp_path: Path) -> None:
    file = tmp_path / "acme.csv"
    assert export(labelled, "--out", str(file), "--tenant", "acme").exit_code == 0
    with file.open(encoding="utf-8", newline="") as table:
        (row,) = csv.DictReader(table)
    assert (row["text"], row["labels_0"], row["unsafe"]) == ("Of another tenant.", "Safe", "0")
    later = export(labelled, "--out", str(file), "--since", (NOW + timedelta(hours=1)).isoformat())
    assert later.exit_code == 1
    assert "no labelled turn was found" in later.stderr


def test_what_is_to_be_forgotten_is_not_written(labelled: Settings, tmp_path: Path) -> None:
    asyncio.run(asked.ask(labelled, Erasure("default", datetime.now(UTC), turn_id="q")))
    file = tmp_path / "labelled.jsonl"
    assert export(labelled, "--out", str(file)).exit_code == 0
    assert "Which train" not in file.read_text(encoding="utf-8")
    assert set(rows(file)) == {"a", "q2", "acme"}


def test_a_file_whose_form_nobody_knows_is_refused_before_anything_is_read(labelled: Settings) -> None:
    result = export(labelled, "--out", "labelled.xlsx")
    assert result.exit_code == 2
    assert "ends neither in .jsonl nor in .csv" in result.stderr


def test_the_evaluation_scores_an_exported_file(labelled: Settings, tmp_path: Path) -> None:
    file, figures = tmp_path / "labelled.jsonl", tmp_path / "figures.json"
    assert export(labelled, "--out", str(file)).exit_code == 0
    command = ["evaluate", str(file), "--experts", "lexical", "--resamples", "2", "--json", str(figures)]
    result = CliRunner(env=environment(labelled)).invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert json.loads(figures.read_text(encoding="utf-8"))
