"""Operators take labels back, ask for a quorum, and want texts forgotten, while workers are killed; the oracle judges
what is left in the moments, and the bytes on disk what is left of the texts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from click.testing import CliRunner, Result

from stream import broker as embedded
from stream import state
from stream.__main__ import cli
from stream.asked import ask
from stream.records import LabelName, Revocation
from stream.settings import PREFIX, Settings
from stream.topics import TopicNames
from support.flow import Flow, label, made, turn, votes_of
from support.kafka import Record, eventually_async, produce
from support.oracle import read_logs
from support.worker_process import WorkerProcess, environment

SAFE, UNSAFE = 0, 2
TURNS = [f"t{number}" for number in range(12)]
PAST = datetime.now(UTC) - timedelta(hours=2)
POISONED = PAST + timedelta(hours=1)
CANARY = "canary-of-the-forgotten"


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Iterator[Settings]:
    with made(broker, tmp_path, partitions=2, session_timeout=6.0, heartbeat=2.0) as settings:
        yield settings


def flow_of(settings: Settings, worker: WorkerProcess) -> Flow:
    return Flow(settings, TopicNames.of(settings), worker)


def aegis(settings: Settings, *words: str) -> Result:
    """The command as an operator would run it, under these settings."""
    ours = {name: value for name, value in environment(settings).items() if name.startswith(PREFIX)}
    return CliRunner().invoke(cli, words, env=ours)


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


async def poison(flow: Flow) -> None:
    """An honest vote of `mallory` on every third turn, then wrong ones on all, beside those of `bob` on half of them;
    and a wrong label before its turn."""

    async def say(name: str, says: LabelName, annotator: str, at: datetime) -> None:
        await flow.labels(label(name, says, annotator, labelled_at=at))

    await flow.turns(*map(turn, TURNS))
    await flow.verdicts(*TURNS)
    for name in TURNS[::3]:
        await say(name, "safe", "mallory", PAST)
    for name in (*TURNS, "late"):
        await say(name, "unsafe", "mallory", POISONED)
    for name in TURNS[::2]:
        await say(name, "safe", "bob", PAST)
    await flow.pending(TURNS[-1], lambda pending: votes_of(pending) == {"mallory": UNSAFE})


def test_revoked_labels_are_taken_back_whatever_crashes_and_come_back_when_that_is_undone(
    settings: Settings, tmp_path: Path
) -> None:
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    since, asked_at = POISONED - timedelta(minutes=1), datetime.now(UTC)
    with worker:
        flow = flow_of(settings, worker.ready())
        asyncio.run(poison(flow))
        table = [json.loads(line) for line in said(aegis(settings, "labels", "annotators", "--json")).splitlines()]
        rows = {row["annotator"]: row for row in table}
        assert [(rows[name]["votes"], rows[name]["shared"], rows[name]["agreed"]) for name in ("mallory", "bob")] == [
            (12, 6, 0), (6, 6, 0),
        ]  # fmt: skip
        asyncio.run(ask(settings, Revocation("mallory", None, since, asked_at, asked_at)))
        worker.kill()
    listed = said(aegis(settings, "labels", "revocations"))
    assert "mallory" in listed
    with worker:
        flow = flow_of(settings, worker.ready())
        asyncio.run(flow.turns(turn("late")))
        again = aegis(settings, "labels", "revoke", "--annotator", "mallory", "--since", since.isoformat())
        assert re.match(r"1[23] votes set aside, in 2 of 2 partitions", said(again)), "of the late turn or without it"
        asyncio.run(flow.sound([*TURNS, "late"]))
        honest = asyncio.run(flow.pending(TURNS[3], lambda pending: votes_of(pending) == {"mallory": SAFE}))
        assert [vote.label for vote in honest.beside["mallory"]] == [UNSAFE]
        alone = asyncio.run(flow.pending(TURNS[1], lambda pending: not pending.votes))
        assert state.learned_of(alone) is None
        asyncio.run(flow.pending("late", lambda pending: "mallory" in pending.beside and not pending.votes))
        assert "2 of 2" in said(aegis(settings, "labels", "revocations"))
        told = asyncio.run(flow.weights("default/user", lambda told: told.rounds == told.since_rounds == 8))
        assert not told.alarm

        undone = said(aegis(settings, "labels", "revoke", "--annotator", "mallory", "--undo"))
        assert undone.startswith("its votes count again, in 2 of 2 partitions")
        asyncio.run(flow.sound([*TURNS, "late"]))
        asyncio.run(flow.pending("late", lambda pending: votes_of(pending) == {"mallory": UNSAFE}))
        assert said(aegis(settings, "labels", "revocations")) == "nothing is revoked\n"
        nothing = aegis(settings, "labels", "revoke", "--annotator", "mallory", "--undo")
        assert (nothing.exit_code, "no such revocation stands" in nothing.output) == (1, True)
        assert "mallory" not in worker.log.read_text()


def test_a_quorum_keeps_lone_labels_waiting_and_one_that_changes_counts_them_anew(
    settings: Settings, tmp_path: Path
) -> None:
    def trusting(**limits: Any) -> Settings:
        return settings.model_copy(update={"policy": "ours", "policies": {"ours": limits}})

    two, log = trusting(quorum=2), tmp_path / "worker.log"

    async def lone_and_shared(flow: Flow) -> None:
        await flow.turns(*map(turn, TURNS))
        await flow.labels(*(label(name, "unsafe", "ann") for name in TURNS))
        await flow.labels(*(label(name, "unsafe", "bob") for name in TURNS[:4]))
        await flow.pending(TURNS[3], lambda pending: len(pending.votes) == 2)
        assert (await flow.weights("default/user", lambda told: told.rounds == 4)).rounds == 4
        lone = await flow.pending(TURNS[-1], lambda pending: "ann" in pending.votes)
        assert state.learned_of(lone) is None
        await flow.sound(TURNS)

    async def until_learned(flow: Flow, rounds: int) -> None:
        await flow.weights("default/user", lambda told: told.rounds == told.since_rounds == rounds)
        await flow.sound(TURNS)

    with WorkerProcess(two, log) as worker:
        asyncio.run(lone_and_shared(flow_of(two, worker.ready())))
    for now, rounds in ((trusting(), len(TURNS)), (trusting(annotators={"bob": 1}, others=0), 4)):
        with WorkerProcess(now, log) as worker:
            asyncio.run(until_learned(flow_of(now, worker.ready()), rounds))


@pytest.fixture
def shredding(tmp_path: Path) -> Iterator[tuple[Settings, Path]]:
    """A broker of its own, whose folder can be searched."""
    folder = tmp_path / "broker"
    running = embedded.start(folder, embedded.free_port())
    try:
        with made(running.bootstrap, tmp_path, partitions=2) as settings:
            yield settings, folder
    finally:
        embedded.stop(folder)


async def compact_at_once(settings: Settings) -> None:
    """As no worker would run on it: it wants time to read what was written."""
    config = {
        "cleanup.policy": "compact",
        "segment.ms": "200",
        "min.cleanable.dirty.ratio": "0.0",
        "min.compaction.lag.ms": "0",
        "max.compaction.lag.ms": "200",
        "delete.retention.ms": "0",
        "file.delete.delay.ms": "0",
    }
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker)
    await admin.start()
    try:
        changelog = TopicNames.of(settings).changelog
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, changelog, configs=config)])
    finally:
        await admin.close()


def holding(root: Path, text: str, but: str = "\0") -> list[str]:
    """Files below a folder in which a text stands."""
    found = []
    for path in root.rglob("*"):
        try:
            if path.is_file() and but not in str(path) and text.encode() in path.read_bytes():
                found.append(str(path.relative_to(root)))
        except FileNotFoundError:  # compacted meanwhile
            continue
    return found


@pytest.mark.slow
def test_of_a_forgotten_conversation_and_turn_no_byte_is_left_in_changelog_and_folder(
    shredding: tuple[Settings, Path], tmp_path: Path
) -> None:
    settings, kept_by_broker = shredding
    names = TopicNames.of(settings)
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        flow = flow_of(settings, worker.ready())
        asyncio.run(say_all(flow))
    assert [path for path in holding(kept_by_broker, CANARY) if names.changelog in path]
    assert holding(settings.data_dir, CANARY)
    left = settings.data_dir / "state-7"  # of a partition that lives elsewhere now
    shutil.copytree(settings.data_dir / "state-0", left)
    with worker:
        flow = flow_of(settings, worker.ready())
        forgotten = said(aegis(settings, "forget", "--conversation", "private"))
        assert "forgotten: 2 records of the state lost their text, in all 2 partitions" in forgotten
        assert f"{names.turns} " in forgotten
        assert f"{names.labels} " in forgotten
        one = said(aegis(settings, "forget", "--turn", "open-1"))
        assert "forgotten: 2 records of the state lost their text" in one
        asyncio.run(look(flow))
    assert holding(settings.data_dir, CANARY) == []
    assert not left.exists()
    assert holding(settings.data_dir, "remembered")
    asyncio.run(compact_at_once(settings))

    async def compacted() -> bool:
        """No segment is compacted that is still written to, and the next record opens another."""
        rolls = [Record(b"", state.CLAIM, partition=number) for number in range(settings.partitions)]
        await produce(settings.broker, names.changelog, rolls)
        return not [path for path in holding(kept_by_broker, CANARY) if names.changelog in path]

    asyncio.run(eventually_async(compacted, 90.0, "the compaction of the changelog"))
    assert holding(kept_by_broker, CANARY), "the operator's own topics are as they were"
    assert CANARY not in (tmp_path / "worker.log").read_text()


async def say_all(flow: Flow) -> None:
    """A private conversation, one of whose turns shall go alone, and a label that waits, with words in it."""
    turns = [turn(f"private-{n}", f"{CANARY} {n}", conversation_id="private") for n in range(3)]
    turns += [
        turn(f"open-{n}", (f"remembered {n}", f"{CANARY} open")[n == 1], conversation_id="open") for n in range(3)
    ]
    await flow.turns(*turns)
    await flow.verdicts(*(each.turn_id for each in turns))
    waiting = json.dumps({**_as_json("unknown"), "conversation_id": "private", "remark": CANARY}).encode()
    await flow.send(flow.names.labels, _record(waiting))
    await flow.labels(label("open-1", "unsafe", conversation_id="open"))
    await flow.weights("default/user", lambda told: told.rounds == 1)
    early = state.early_key("default", "unknown", "ann")
    await flow.until(flow.names.changelog, lambda records: any(record.key == early for record in records))


async def look(flow: Flow) -> None:
    """What was taught stays, what is said from now on is kept, and a label of the forgotten turn finds nothing."""
    (late,) = await flow.labels(label("open-1", "safe", "bob", conversation_id="open"))
    assert (await flow.letter(late)).reason == "turn_not_found"
    await flow.turns(turn("private-9", "remembered again", conversation_id="private"))
    await flow.verdicts("private-9")
    logs = await read_logs(flow.settings)
    newest = {(record.partition, record.key): record.value for record in logs.changelog}
    private = state.conversation_key("default", "private")
    (conversation,) = [
        state.decode_conversation(value) for (_, key), value in newest.items() if key == private and value
    ]
    assert conversation.said == (("user", "remembered again"),)
    values = b"".join(value or b"" for value in newest.values())
    assert CANARY.encode() not in values
    assert b"remembered 2" in values
    assert (await flow.weights("default/user", lambda told: True)).rounds == 1


def open_text(number: int) -> str:
    return f"{CANARY} open" if number == 1 else f"remembered {number}"


def _as_json(turn_id: str) -> dict[str, Any]:
    return {"turn_id": turn_id, "label": "safe", "annotator": "ann", "labelled_at": "2026-01-01T00:00:00Z"}


def _record(value: bytes) -> Any:
    return Record(value, b"private")


def test_without_a_worker_a_request_stands_and_the_command_says_so(settings: Settings, tmp_path: Path) -> None:
    result = aegis(settings, "forget", "--conversation", "c")
    assert result.exit_code == 1
    assert "no worker runs: the request stands, and is carried out when workers do" in result.output
    assert "your own topics hold nothing of it" in result.stdout
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        flow = flow_of(settings, worker.ready())
        asyncio.run(flow.until(flow.names.requests, lambda records: len({record.key for record in records}) == 3))
    assert os.listdir(settings.data_dir)
