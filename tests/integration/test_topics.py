"""The topic contract on a real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from functools import partial
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError
from click.testing import CliRunner

from stream import growth, topics_admin
from stream.__main__ import cli
from stream.errors import TopicsError
from stream.settings import Settings
from stream.topics import BROKER_MESSAGE_BYTES, TopicNames
from support.broker import Namespace
from support.kafka import Record, consume_until, eventually_async, produce

TOPICS = len(fields(TopicNames))


@asynccontextmanager
async def admin_of(settings: Settings) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def alter(settings: Settings, topic: str, config: dict[str, str]) -> None:
    async with admin_of(settings) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
    for key, value in config.items():
        await eventually_async(partial(config_is, settings, topic, key, value))


async def config_is(settings: Settings, topic: str, key: str, value: str) -> bool:
    async with admin_of(settings) as admin:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {key: None})])
        return bool(answer.resources[0][4][0][1] == value)


async def make(settings: Settings, topic: str, partitions: int) -> None:
    async with admin_of(settings) as admin:
        await admin.create_topics([NewTopic(topic, partitions, 1)])

        async def there() -> bool:
            return topic in [found["topic"] for found in await admin.describe_topics()]

        await eventually_async(there)


async def test_create_makes_every_topic_and_check_then_finds_nothing(settings: Settings) -> None:
    assert len(await topics_admin.check(settings)) == TOPICS
    assert len(await topics_admin.create(settings)) == TOPICS
    assert await topics_admin.check(settings) == []
    assert await topics_admin.create(settings) == []
    assert len(await topics_admin.delete(settings)) == TOPICS
    assert await topics_admin.delete(settings) == []


async def test_partitions_grow_from_the_changelog_to_turns_behind_the_record_of_where_turns_can_be(
    topics: Settings,
) -> None:
    names, lines = TopicNames.of(topics), list[str]()
    await growth.grow(topics, 6, lines.append)
    assert [line.split(":")[0] for line in lines[:-1]] == [
        names.moments,
        names.changelog,
        names.moments,
        names.dead_letters,
        names.verdicts,
        names.labels,
        names.turns,
    ]
    assert lines[0].endswith("(4, 6 partitions)")
    assert lines[-1] == f"no worker of group {topics.app_id} runs: the next that starts owns all 6 partitions"
    recorded = await consume_until(topics.broker, names.moments, lambda records: len(records) == 2)
    assert [record.key for record in recorded] == [b"c4", b"c6"]
    assert await topics_admin.check(topics) == []
    assert await topics_admin.create(topics) == []


async def test_a_growth_goes_on_where_it_stopped_and_shrinks_nothing(topics: Settings) -> None:
    names, lines = TopicNames.of(topics), list[str]()
    async with topics_admin.connected(topics) as admin:
        await topics_admin.raise_partitions(admin, names.changelog, 6)
    found = await topics_admin.check(topics)
    assert len(found) == 5
    assert not any(wrong.refused for wrong in found)
    with pytest.raises(TopicsError, match=r"has 6 partitions, and Kafka takes none away: .*--partitions 6`"):
        await growth.grow(topics, 5, lines.append)
    await growth.grow(topics, 6, lines.append)
    assert lines[1] == f"{names.changelog}: has 6 partitions already"
    assert await topics_admin.check(topics) == []
    for few in (4, 6):
        with pytest.raises(TopicsError, match=r"has 6 partitions, and Kafka|every topic has 6 partitions already"):
            await growth.grow(topics, few, lines.append)


async def test_topics_that_are_missing_are_not_grown(settings: Settings) -> None:
    with pytest.raises(TopicsError, match="does not exist: run `aegis topics create`"):
        await growth.grow(settings, 6, print)


async def test_topics_are_made_with_as_many_partitions_as_are_there_and_never_raised(settings: Settings) -> None:
    names = TopicNames.of(settings)
    await make(settings, names.turns, 5)
    await topics_admin.create(settings)
    assert await topics_admin.partitions(settings, [names.changelog, names.turns, names.weights]) == {
        names.changelog: 5,
        names.turns: 5,
        names.weights: 1,
    }
    (told,) = await topics_admin.create(settings.model_copy(update={"partitions": 8}))
    assert told.endswith("run `aegis topics grow --partitions 8`, which adds them to every topic")


async def test_turns_that_were_raised_alone_are_refused_before_anything_changes(topics: Settings) -> None:
    names = TopicNames.of(topics)
    async with topics_admin.connected(topics) as admin:
        await topics_admin.raise_partitions(admin, names.turns, 5)
    with pytest.raises(TopicsError, match=r"has partitions=4 and needs 5: run `aegis topics grow --partitions 5`"):
        await topics_admin.create(topics)
    await growth.grow(topics, 5, print)
    assert await topics_admin.check(topics) == []


async def test_a_setting_that_differs_is_found_and_mended_and_the_operators_own_are_kept(topics: Settings) -> None:
    names = TopicNames.of(topics)
    await alter(topics, names.turns, {"cleanup.policy": "compact", "retention.ms": "7200000"})
    await alter(topics, names.changelog, {"cleanup.policy": "compact", "min.compaction.lag.ms": "0"})
    found = {wrong.topic: str(wrong) for wrong in await topics_admin.check(topics)}
    assert "has cleanup.policy=compact, and must have exactly delete" in found[names.turns]
    assert all(line.endswith("run `aegis topics create`, which alters it") for line in found.values())
    assert f"{names.turns}: cleanup.policy compact -> delete" in await topics_admin.create(topics)
    assert await topics_admin.check(topics) == []
    assert await config_is(topics, names.turns, "retention.ms", "7200000")


async def test_dead_letters_grow_with_the_largest_record_of_their_sources(topics: Settings) -> None:
    names = TopicNames.of(topics)
    await alter(topics, names.turns, {"cleanup.policy": "delete", "max.message.bytes": "3000000"})
    (wrong,) = await topics_admin.check(topics)
    assert (wrong.topic, wrong.mendable) == (names.dead_letters, True)
    await topics_admin.create(topics)
    assert await config_is(topics, names.dead_letters, "max.message.bytes", "6000000")


async def test_the_largest_record_that_turns_take_fits_among_the_dead_letters_with_its_headers(
    topics: Settings,
) -> None:
    names = TopicNames.of(topics)
    largest = Record(b"x" * (BROKER_MESSAGE_BYTES - 100), key=b"c")
    await produce(topics.broker, names.turns, [largest])
    with pytest.raises(MessageSizeTooLargeError):
        await produce(topics.broker, names.turns, [Record(b"x" * BROKER_MESSAGE_BYTES)])
    dead = Record(largest.value, key=largest.key, headers=[("reason", b"r" * 1000)])
    await produce(topics.broker, names.dead_letters, [dead])
    (read,) = await consume_until(topics.broker, names.dead_letters, lambda records: len(records) == 1)
    assert read.value == largest.value


async def test_missing_copies_are_reported_and_a_worker_still_runs(topics: Settings) -> None:
    wrong = await topics_admin.check(topics.model_copy(update={"replication_factor": 3}))
    assert len(wrong) == TOPICS
    assert not any(mismatch.refused for mismatch in wrong)


async def test_more_copies_than_brokers_are_refused_in_one_line(settings: Settings) -> None:
    with pytest.raises(TopicsError, match=r"refused a change of topic .*replication factor") as refused:
        await topics_admin.create(settings.model_copy(update={"replication_factor": 32000}))
    assert "\n" not in str(refused.value)


def test_the_commands_make_check_and_delete(broker: str, namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_BROKER", broker)
    monkeypatch.setenv("AEGIS_TOPIC_PREFIX", namespace.topic_prefix)
    monkeypatch.setenv("AEGIS_APP_ID", namespace.app_id)
    runner = CliRunner()
    before = runner.invoke(cli, ["topics", "check"])
    assert (before.exit_code, before.stdout.count("does not exist")) == (TopicsError.exit_code, TOPICS)
    assert runner.invoke(cli, ["topics", "create"]).exit_code == 0
    assert runner.invoke(cli, ["topics", "check"]).output == "every topic is there and as the contract asks\n"
    refused = runner.invoke(cli, ["topics", "delete"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (TopicsError.exit_code, 1)
    assert runner.invoke(cli, ["topics", "delete", "--yes"]).output.count(": deleted") == TOPICS
