"""`aegis replay` from the topics of a real broker."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import msgspec
from click.testing import CliRunner, Result

from stream.__main__ import cli
from stream.replay.results import Replay
from stream.settings import Settings
from stream.topics import TopicNames
from support.kafka import Record, produce
from support.streams import BEGAN, label_line, lines, made_up
from support.worker_process import environment


def replay(settings: Settings, *arguments: object) -> Result:
    return CliRunner(env=environment(settings)).invoke(cli, ["replay", *map(str, arguments)])


def test_topics_are_read_to_their_end_and_give_what_the_same_lines_give(topics: Settings, tmp_path: Path) -> None:
    names, (verdicts, labels) = TopicNames.of(topics), made_up(60)
    for topic, rows in ((names.verdicts, verdicts), (names.labels, labels)):
        records = [Record(json.dumps(row).encode(), f"c{number % 7}".encode()) for number, row in enumerate(rows)]
        asyncio.run(produce(topics.broker, topic, records))
    file, out = tmp_path / "both.jsonl", tmp_path / "found.json"
    file.write_bytes(lines(verdicts + labels))
    found = []
    for arguments in ((), ("--broker", topics.broker), (file,)):
        result = replay(topics, *arguments, "--json", out)
        assert result.exit_code == 0, result.output
        found.append(msgspec.json.decode(out.read_bytes(), type=Replay))
    assert found[0] == found[1] == found[2]
    assert found[0].read.learned == 60


def test_a_bad_record_is_named_by_its_place_and_a_label_is_never_later_than_the_broker_had_it(
    topics: Settings, tmp_path: Path
) -> None:
    names, (verdicts, _) = TopicNames.of(topics), made_up(5)
    asyncio.run(produce(topics.broker, names.verdicts, [Record(json.dumps(row).encode(), b"c") for row in verdicts]))
    tomorrow = label_line(0, "safe", BEGAN + timedelta(days=36_500))
    values = [json.dumps(tomorrow).encode(), b"secret"]
    asyncio.run(produce(topics.broker, names.labels, [Record(value, b"c") for value in values]))
    out = tmp_path / "found.json"
    result = replay(topics, "--json", out)
    assert result.exit_code == 1
    assert "]@1: " in result.stderr
    assert "secret" not in result.stderr
    delays = msgspec.json.decode(out.read_bytes(), type=Replay).delays
    assert delays is not None
    assert delays.all < 30_000 * 86_400


def test_a_missing_topic_is_one_line(settings: Settings) -> None:
    result = replay(settings)
    assert result.exit_code == 4
    assert "does not exist: run `aegis topics create`" in result.stderr
