"""`aegis replay` from the topics of a real broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from experts.executor import Panel
from experts.fakes import RecallingExpert
from stream.__main__ import cli
from stream.replay.candidate import Asking, ask_of_topic
from stream.replay.results import Replay
from stream.requests import Requests, milliseconds
from stream.settings import Settings
from stream.topics import TopicNames
from support.fake_worker import CHOSEN
from support.flow import Flow, flowing, label, turn, unique
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


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """A worker with an expert whose scores tell one history from another, and one that says the same of everything."""
    folder = tmp_path_factory.mktemp("candidate")
    with flowing(broker, folder, environ={CHOSEN: "recalling,0.4"}, conversation_tokens=100) as flow:
        yield flow


async def test_a_candidate_reads_what_an_expert_of_the_worker_had_read(flow: Flow) -> None:
    """Also what was said before each turn: then it says the same of the same turns."""
    names = [unique("read") for _ in range(60)]
    said = [
        turn(name, f"{number} " + "and so on, " * (number % 5), conversation_id=f"c{number % 7}", tenant="read")
        for number, name in enumerate(names)
    ]
    for start in range(0, len(said), 20):
        await flow.turns(*said[start : start + 20])
        verdicts = await flow.verdicts(*names[: start + 20])
    told: list[int] = []
    panel = Panel([RecallingExpert("candidate")])
    asking = Asking(flow.settings, panel, {("read", name) for name in names}, Requests(), told.append)
    await ask_of_topic(flow.settings, asking, min(milliseconds(verdict.scored_at) for verdict in verdicts))
    panel.close()
    assert sum(told) == len(names)
    assert [asking.scores["read", verdict.turn_id] for verdict in verdicts] == pytest.approx(
        [verdict.experts[0].score for verdict in verdicts], abs=1e-9
    )


async def test_a_candidate_is_asked_about_the_turns_of_the_topic(flow: Flow, tmp_path: Path) -> None:
    names, out = [unique("asked") for _ in range(10)], tmp_path / "found.json"
    await flow.turns(*(turn(name) for name in names))
    await flow.verdicts(*names)
    await flow.labels(*(label(name, "safe") for name in names))
    await flow.weights("default/user", lambda weights: weights.rounds == len(names))
    result = await asyncio.to_thread(replay, flow.settings, "--candidate", "lexical", "--json", out)
    assert result.exit_code == 0, result.output
    found = msgspec.json.decode(out.read_bytes(), type=Replay)
    assert found.candidate is not None
    assert (found.candidate.scored, found.candidate.untold) == (found.read.turns, 0)
    assert [run.candidate for run in found.runs] == ["with", "without"]
    assert {one.than for one in found.runs[0].compared} == {"published", "without"}
