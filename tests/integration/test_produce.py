"""`aegis produce` against a real broker."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import murmur2
from click.testing import CliRunner, Result

from stream.__main__ import cli
from stream.settings import Settings
from stream.topics import TopicNames
from support.kafka import consume_until
from support.logs import read_all
from support.worker_process import ROOT, environment


def turn(number: int, **more: Any) -> dict[str, Any]:
    return {
        "turn_id": f"t{number}",
        "conversation_id": f"c{number % 7}",
        "role": "user",
        "text": f"text {number}",
        "sent_at": "2026-01-01T00:00:00Z",
        **more,
    }


def label(number: int) -> dict[str, Any]:
    return {
        "turn_id": f"t{number}",
        "conversation_id": f"c{number % 7}",
        "label": "safe",
        "annotator": "ann",
        "labelled_at": "2026-01-01T00:00:00Z",
    }


def lines(*values: Any) -> str:
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values)


def holds(count: int, records: list[Any]) -> bool:
    return len(records) == count


def produce(settings: Settings, *arguments: str, text: str) -> Result:
    return CliRunner(env=environment(settings)).invoke(cli, ["produce", *arguments], input=text)


async def read_turns(settings: Settings) -> list[Any]:
    return await read_all(settings.broker, TopicNames.of(settings).turns)


def test_turns_arrive_as_they_are_in_order_in_the_partition_of_their_conversation(
    topics: Settings, tmp_path: Path
) -> None:
    sent = [turn(number, added_later=[1, 2]) for number in range(300)]
    (tmp_path / "turns.jsonl").write_text(lines(*sent))
    result = produce(topics, str(tmp_path / "turns.jsonl"), text="")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"300 turns sent to {TopicNames.of(topics).turns} in ")
    records = asyncio.run(read_turns(topics))
    for number in range(topics.partitions):
        values = [json.loads(record.value) for record in records if record.partition == number]
        mine = [v for v in sent if (murmur2(v["conversation_id"].encode()) & 0x7FFFFFFF) % topics.partitions == number]
        assert values == mine
    assert all(record.key.decode() == json.loads(record.value)["conversation_id"] for record in records)


def test_labels_go_to_the_labels(topics: Settings) -> None:
    result = produce(topics, "--topic", "labels", "-", text=lines(label(1), turn(2), label(3)))
    assert result.stderr.startswith("stdin:2: Object missing required field")
    assert result.exit_code == 1
    records = asyncio.run(read_all(topics.broker, TopicNames.of(topics).labels))
    assert sorted(json.loads(record.value)["turn_id"] for record in records) == ["t1", "t3"]


def test_bad_lines_are_named_and_not_sent_and_the_others_are(topics: Settings) -> None:
    bad = [
        turn(0),
        "no json",
        turn(1, role="bot"),
        turn(2, turn_id=""),
        turn(3, text="x" * 70_000),
        turn(4, ignored="x" * 1_100_000),
    ]
    result = produce(topics, "-", text=lines(*bad, turn(5)))
    said = sorted(result.stderr.splitlines())
    assert [line.split(" ")[0] for line in said] == ["Error:", *(f"stdin:{number}:" for number in range(2, 7))]
    assert said[0] == "Error: 5 lines of stdin were not sent, each named above: mend them"
    assert "MessageSizeTooLargeError" in said[-1]
    assert (result.exit_code, result.stdout.split(" ")[0]) == (1, "2")
    records = asyncio.run(read_turns(topics))
    assert sorted(json.loads(record.value)["turn_id"] for record in records) == ["t0", "t5"]


def test_a_topic_that_is_not_there_is_one_line_and_is_not_made(settings: Settings) -> None:
    for _ in range(2):
        result = produce(settings, "-", text=lines(turn(1)))
        assert result.stderr == (
            f"Error: topic {TopicNames.of(settings).turns} does not exist: run `aegis topics create`\n"
        )
        assert (result.exit_code, result.stdout) == (4, "")


def test_what_a_pipe_holds_is_sent_at_once_and_ctrl_c_tells_how_many_went(topics: Settings) -> None:
    command = [sys.executable, "-m", "stream", "produce", "-"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(topics),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        for number in range(2):
            process.stdin.write(lines(turn(number)).encode())
            process.stdin.flush()
            asyncio.run(consume_until(topics.broker, TopicNames.of(topics).turns, partial(holds, number + 1)))
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert errors.decode() == f"interrupted: 2 turns sent to {TopicNames.of(topics).turns}\n"
    assert (process.returncode, output) == (130, b"")


def test_a_rate_spreads_the_records_over_time(topics: Settings) -> None:
    result = produce(topics, "--rate", "20", "-", text=lines(*map(turn, range(11))))
    assert result.exit_code == 0
    stamps = sorted(record.timestamp for record in asyncio.run(read_turns(topics)))
    assert stamps[-1] - stamps[0] >= 450  # ten pauses of 50 ms; a clock that counts whole ms may take a few off


@pytest.mark.parametrize("rate", ["0", "-1", "fast"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    assert CliRunner().invoke(cli, ["produce", "--rate", rate, "-"], input="").exit_code == 2
