"""The examples in other languages, each run for real: its turns get verdicts, its labels are learned."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.partitioner import murmur2

from stream.settings import Settings
from stream.topics import TopicNames
from support.compatibility import readable_by_all
from support.examples import BUILD_SECONDS, FOLDER, JAVA, KCAT, PYTHON, TYPESCRIPT, Built, Example, build
from support.fake_worker import CHOSEN
from support.flow import Flow, flowing, label, made, turn, unique, votes_of
from support.kafka import consume_until, end_offsets
from support.logs import read_all
from support.worker_process import ROOT

pytestmark = pytest.mark.timeout(BUILD_SECONDS + 120)
EXAMPLES = (PYTHON, JAVA, TYPESCRIPT, KCAT)
PARTITIONS = 6
"""No power of two: partitioners that differ in the hash's sign bit alone would agree on such a number."""
UNSAFE = 2
TEXTS = ('Say "hello" \\ to them.', "Wie geht es dir? 你好")


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder, experts = tmp_path_factory.mktemp("examples"), {CHOSEN: "0.1,0.9"}
    with flowing(broker, folder, environ=experts, partitions=PARTITIONS, store="memory") as flow:
        yield flow


@pytest.fixture(scope="module")
def unattended(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Topics that no worker reads."""
    with made(broker, tmp_path_factory.mktemp("unattended"), partitions=1) as settings:
        yield settings


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda example: str(example.name))
def example(request: pytest.FixtureRequest, flow: Flow, tmp_path_factory: pytest.TempPathFactory) -> Built:
    chosen: Example = request.param
    return Built(chosen, build(chosen, tmp_path_factory.mktemp(chosen.name)), flow.settings)


def texts_for(example: Built) -> tuple[str, ...]:
    """kcat's script publishes one turn."""
    return TEXTS[:1] if example.example is KCAT else TEXTS


async def test_its_turns_get_their_verdicts_and_its_labels_are_learned(flow: Flow, example: Built) -> None:
    texts = texts_for(example)
    done = await asyncio.to_thread(lambda: example.finish(example.start(*texts, label="unsafe")))
    assert done.returncode == 0, done.stderr
    printed = {verdict["turn_id"]: verdict for verdict in map(json.loads, done.stdout.splitlines())}
    assert len(printed) == len(texts)
    for verdict in await flow.verdicts(*printed):
        assert (printed[verdict.turn_id]["label"], printed[verdict.turn_id]["score"]) == (verdict.label, verdict.score)
    for turn_id in printed:
        await flow.pending(turn_id, lambda pending: votes_of(pending) == {example.example.annotator: UNSAFE})
    turns = await read_all(flow.settings.broker, flow.names.turns)
    labels = await read_all(flow.settings.broker, flow.names.labels)
    labelled = len({turn_of(record) for record in labels})
    await flow.weights("default/user", lambda w: w.rounds == labelled and w.experts[0].loss > w.experts[1].loss)
    assert sorted(json.loads(record.value)["text"] for record in turns if turn_of(record) in printed) == sorted(texts)
    ours = [record for record in [*turns, *labels] if turn_of(record) in printed]
    assert len(ours) == 2 * len(texts)
    for record in ours:
        assert record.key.decode() == json.loads(record.value)["conversation_id"]
        assert record.partition == (murmur2(record.key) & 0x7FFFFFFF) % PARTITIONS


def turn_of(record: Any) -> str:
    """The id of the turn that this record is or is about."""
    return str(json.loads(record.value)["turn_id"])


def test_it_tells_why_a_turn_is_a_dead_letter(example: Built) -> None:
    done = example.finish(example.start("Hello.", role="narrator"))
    assert done.returncode == 1
    assert "wrong_type" in done.stderr
    assert "$.role" in done.stderr
    assert done.stderr.startswith("Error: turn "), done.stderr
    assert not done.stdout


async def test_it_ends_when_told_and_what_it_published_stays(unattended: Settings, example: Built) -> None:
    waiting = Built(example.example, example.folder, unattended)
    turns = TopicNames.of(unattended).turns
    before = (await end_offsets(unattended.broker, turns))[0]
    process = waiting.start("Is anybody there?")
    await consume_until(unattended.broker, turns, lambda records: len(records) > before)
    process.send_signal(signal.SIGTERM)
    done = await asyncio.to_thread(waiting.finish, process)
    assert done.returncode in (1, 128 + signal.SIGTERM), done.stderr  # Java's virtual machine names the signal
    assert "stopped" in done.stderr
    assert done.stderr.count("\n") == 1


def test_it_tells_what_it_lacks(example: Built) -> None:
    done = example.finish(example.start(label=""))
    assert done.returncode in (1, 2)  # argparse's own is 2
    assert "TEXT" in done.stderr


async def test_what_the_worker_writes_is_valid_for_readers_of_every_version_of_the_contract(flow: Flow) -> None:
    name = unique("read")
    await flow.turns(turn(name, metadata={"a": "b"}, tenant="readers"))
    await flow.verdicts(name)
    await flow.labels(label(name, "unsafe", tenant="readers"))
    await flow.weights("readers/user", lambda w: w.rounds == 1)
    for topic, record in ((flow.names.verdicts, "Verdict"), (flow.names.weights, "Weights")):
        written = [each.value for each in await read_all(flow.settings.broker, topic)]
        assert written
        for value in filter(None, written):
            readable_by_all(value, record)


@pytest.mark.parametrize("folder", [FOLDER / "typescript", ROOT / "tests" / "contracts" / "validator"], ids=str)
def test_a_lock_of_npm_has_a_hash_for_every_package_and_no_address(folder: Path) -> None:
    lock = json.loads((folder / "package-lock.json").read_text("utf-8"))
    packages = [package for path, package in lock["packages"].items() if path]
    assert packages
    assert all(package["integrity"].startswith("sha512-") and "resolved" not in package for package in packages)


def test_the_readme_gives_the_commands_that_are_run_here() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    for example in EXAMPLES:
        for command in example.build:
            assert " ".join(word for word in command if word not in ("--no-audit", "--no-fund", "-B")) in readme
        assert example.run[-1] in readme
