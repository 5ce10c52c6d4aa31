"""`aegis tail` against a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import IO

import pytest
from click.testing import CliRunner, Result

from stream import growth
from stream.__main__ import cli
from stream.dead_letters import DETAIL, OFFSET, PARTITION, REASON, TOPIC
from stream.settings import Settings
from stream.topics import TopicNames
from support.kafka import Record, eventually, produce
from support.worker_process import ROOT, environment


def turn(number: int) -> Record:
    value = {
        "turn_id": f"t{number}",
        "conversation_id": "c1",
        "role": "user",
        "text": f"secret {number}",
        "sent_at": "2026-01-01T00:00:00Z",
    }
    return Record(json.dumps(value).encode(), b"c1")


def tail(settings: Settings, *arguments: str) -> Result:
    return CliRunner(env=environment(settings)).invoke(cli, ["tail", *arguments])


def send(settings: Settings, topic: str, *records: Record) -> None:
    asyncio.run(produce(settings.broker, topic, records))


@dataclass
class Tailing:
    """An `aegis tail` of its own, and the lines that it has written."""

    process: subprocess.Popen[bytes]
    lines: list[str] = field(default_factory=list)

    def read(self, file: IO[bytes]) -> None:
        try:
            for line in file:
                self.lines.append(line.decode())
        except OSError:
            return  # the other end of a terminal was closed


@contextmanager
def tailing(settings: Settings, *arguments: str) -> Iterator[Tailing]:
    """Ends with Ctrl-C, and then must have been quiet about it."""
    command = [sys.executable, "-m", "stream", "tail", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        told = Tailing(process)
        reading = Thread(target=told.read, args=(process.stdout,))
        reading.start()
        try:
            yield told
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(30)
            reading.join()
            assert process.stderr is not None
            assert (code, process.stderr.read()) == (0, b"")


def test_without_follow_it_prints_what_is_there_and_ends(topics: Settings) -> None:
    assert tail(topics, "turns", "--no-follow").output == ""
    send(topics, TopicNames.of(topics).turns, *map(turn, range(50)))
    result = tail(topics, "turns", "--no-follow")
    assert [json.loads(line)["turn_id"] for line in result.stdout.splitlines()] == [f"t{n}" for n in range(50)]
    assert result.exit_code == 0


def test_what_it_prints_of_turns_is_what_score_and_produce_read(topics: Settings) -> None:
    send(topics, TopicNames.of(topics).turns, *map(turn, range(5)))
    runner = CliRunner(env=environment(topics))
    said = runner.invoke(cli, ["produce", "-"], input=tail(topics, "turns", "--no-follow").stdout)
    assert said.stdout.startswith("5 turns sent")
    assert len(tail(topics, "turns", "--no-follow").stdout.splitlines()) == 10


def test_a_limit_ends_it_also_while_it_follows(topics: Settings) -> None:
    send(topics, TopicNames.of(topics).turns, *map(turn, range(5)))
    for more in (["--from-beginning"], ["--no-follow"]):
        result = tail(topics, "turns", "--limit", "2", *more)
        assert [json.loads(line)["turn_id"] for line in result.stdout.splitlines()] == ["t0", "t1"]


def test_it_follows_from_the_end_and_ctrl_c_ends_it_quietly(topics: Settings) -> None:
    name = TopicNames.of(topics).turns
    send(topics, name, turn(0))
    with tailing(topics, "turns") as told:
        sent = 0

        def heard() -> bool:
            """It says nothing of when it listens: turns are sent until the first is heard."""
            nonlocal sent
            sent += 1
            send(topics, name, turn(sent))
            return bool(told.lines)

        eventually(heard, awaited="the first turn")
        send(topics, name, turn(1000))
        eventually(lambda: any('"t1000"' in line for line in told.lines), awaited="the last turn")
    heard_of = [json.loads(line)["turn_id"] for line in told.lines]
    assert "t0" not in heard_of
    assert heard_of == [f"t{n}" for n in range(int(heard_of[0][1:]), sent + 1)] + ["t1000"]


@pytest.mark.slow
def test_partitions_that_are_added_while_it_follows_are_read_too(topics: Settings) -> None:
    name = TopicNames.of(topics).turns
    with tailing(topics, "turns", "--from-beginning") as told:
        send(topics, name, turn(0))
        eventually(lambda: len(told.lines) == 1, awaited="the first turn")
        asyncio.run(growth.grow(topics, 6, print))
        send(topics, name, Record(turn(1).value, partition=5))
        eventually(lambda: len(told.lines) == 2, deadline=90, awaited="the turn in the new partition")


def test_dead_letters_tell_reason_source_and_size_and_the_text_only_when_asked(topics: Settings) -> None:
    headers = [(REASON, b"not_json"), (DETAIL, b"not JSON"), (TOPIC, b"t"), (PARTITION, b"1"), (OFFSET, b"7")]
    send(topics, TopicNames.of(topics).dead_letters, Record(b"a secret", b"c1", headers))
    told = json.loads(tail(topics, "dead-letters", "--no-follow").stdout)
    assert {**told, "at": ""} == {
        "reason": "not_json",
        "detail": "not JSON",
        "topic": "t",
        "partition": 1,
        "offset": 7,
        "size": 8,
        "at": "",
    }
    assert json.loads(tail(topics, "dead-letters", "--no-follow", "--show-text").stdout)["text"] == "a secret"


def test_a_record_that_is_no_json_is_named_on_standard_error(topics: Settings) -> None:
    name = TopicNames.of(topics).turns
    send(topics, name, Record(b"no json", partition=2), Record(turn(1).value, partition=2))
    result = tail(topics, name, "--no-follow")
    assert result.stderr == f"{name}[2]@0: no JSON (7 bytes)\n"
    assert json.loads(result.stdout)["turn_id"] == "t1"


def test_a_topic_that_is_not_there_is_one_line_and_is_not_made(topics: Settings) -> None:
    for _ in range(2):
        result = tail(topics, "no-such-topic", "--from-beginning")
        assert result.stderr.startswith("Error: topic no-such-topic does not exist: ")
        assert (result.exit_code, result.stderr.count("\n")) == (4, 1)


def test_on_a_terminal_it_prints_columns_and_json_when_asked(topics: Settings, tmp_path: Path) -> None:
    send(topics, TopicNames.of(topics).turns, turn(1))
    for arguments, awaited in (([], "user"), (["--show-text"], "secret 1"), (["--json"], '"text":"secret 1"')):
        shown = on_terminal(topics, "tail", "turns", "--no-follow", *arguments)
        assert awaited in shown
        assert ("{" in shown) is ("--json" in arguments)
        assert ("secret" in shown) is bool(arguments)


def on_terminal(settings: Settings, *arguments: str) -> str:
    """What a command writes to a terminal of 120 columns."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "stream", *arguments]
    env = {**environment(settings), "COLUMNS": "120", "TERM": "xterm"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        told = Tailing(process)
        with os.fdopen(ours, "rb", buffering=0) as file:
            told.read(file)
        assert process.wait(30) == 0, told.lines
    return "".join(told.lines)
