"""Makes, mends, checks and deletes the topics of the contract on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from stream import connection
from stream.errors import BrokerError, TopicsError
from stream.refusals import allowed, why_not
from stream.settings import Settings
from stream.topics import (
    Mismatch,
    TopicFound,
    TopicNames,
    TopicSpec,
    compare,
    compare_counts,
    contract,
    counts_of,
    fitted,
)

CONNECT_SECONDS = 10.0  # a person waits for this; a broker that lives answers in milliseconds
CHANGE_SECONDS = 60.0  # hundreds of partitions take a small broker many seconds
POLL_SECONDS = 0.05
SET_ON_TOPIC = 1  # Kafka's ConfigSource DYNAMIC_TOPIC_CONFIG: set on the topic itself, not inherited from the broker


async def check(settings: Settings) -> list[Mismatch]:
    """Returns every point in which the broker's topics differ from the contract; empty when all is as it must be.

    Raises BrokerError, one line, within 10 s when no broker answers.
    """
    async with connected(settings) as admin:
        return await _compare_all(admin, settings)


async def create(settings: Settings) -> list[str]:
    """Makes missing topics and alters settings that differ; returns a line for each change, and for what it leaves.

    A topic that is missing gets as many partitions as those that are there; `growth` raises them. Changes nothing when
    something cannot be mended, and raises TopicsError that says what. Returns when every topic is as the contract asks
    and has a leader in every partition.
    """
    async with connected(settings) as admin:
        stuck = [wrong for wrong in await _compare_all(admin, settings) if wrong.refused and not wrong.mendable]
        if stuck:
            raise TopicsError("; ".join(map(str, stuck)))
        names, lines, counts = TopicNames.of(settings), list[str](), await counts_now(admin, settings)
        for spec in contract(settings, max(counts.values(), default=None)):  # their order is part of the contract
            now = await _describe(admin, [spec.name, names.turns, names.labels])
            (fit,) = fitted((spec,), names, now)
            lines += await _mend(admin, fit, now.get(spec.name))
            await await_leaders(admin, spec.name, counts.get(spec.name, spec.partitions))
        return lines + [f"{wrong}" for wrong in compare_counts(counts, settings.partitions)]


async def delete(settings: Settings) -> list[str]:
    """Deletes the contract's topics and all they hold; returns the names of those that existed.

    Raises BrokerError when no broker answers, TopicsError when it refuses.
    """
    names = [spec.name for spec in contract(settings)]
    async with connected(settings) as admin:
        response = await admin.delete_topics(names)
        codes: dict[str, int] = dict(response.topic_error_codes)
        _refuse((name, code, None) for name, code in codes.items() if code != UnknownTopicOrPartitionError.errno)
        async with asyncio.timeout(CHANGE_SECONDS):
            while await topics_of(admin, names):
                await asyncio.sleep(POLL_SECONDS)
    return [name for name, code in codes.items() if code == 0]


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yields a connected client; what is raised inside becomes one line: BrokerError when no broker answers,
    TopicsError when it refuses."""
    admin = connection.admin(settings, request_timeout_ms=int(CONNECT_SECONDS * 1000))
    try:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await admin.start()
            if admin._client.get_random_node() is None:  # so ends a token that the broker does not take
                raise KafkaConnectionError
        except (KafkaError, OSError, ValueError) as error:
            start = "start one with `aegis broker start`, or name another with AEGIS_BROKER"
            reason = await why_not(settings, CONNECT_SECONDS)
            raise BrokerError(reason or f"no broker answers at {settings.broker}: {start}") from error
        async with asyncio.timeout(CHANGE_SECONDS * 2):
            yield admin
    except TimeoutError as error:
        raise BrokerError(f"the broker at {settings.broker} took too long: see its log, then run this again") from error
    except (KafkaConnectionError, NodeNotReadyError) as error:
        again = "run this again when it is back"
        raise BrokerError(f"the broker at {settings.broker} went away ({error}): {again}") from error
    except KafkaError as error:
        raise TopicsError(
            f"the broker at {settings.broker} refused ({error}){allowed(error) or ': mend that'}, then run this again"
        ) from error
    finally:
        await admin.close()


async def _compare_all(admin: AIOKafkaAdminClient, settings: Settings) -> list[Mismatch]:
    specs, names = contract(settings), TopicNames.of(settings)
    found = await _describe(admin, [spec.name for spec in specs])
    counts = counts_of(specs, {name: topic.partitions for name, topic in found.items()})
    wrong = [wrong for spec in fitted(specs, names, found) for wrong in compare(spec, found.get(spec.name))]
    return wrong + compare_counts(counts, settings.partitions)


async def counts_now(admin: AIOKafkaAdminClient, settings: Settings) -> dict[str, int]:
    """Returns the partitions of those topics that must have as many as each other, in the order of their growth."""
    specs = contract(settings)
    found = await topics_of(admin, [spec.name for spec in specs])
    return counts_of(specs, {name: len(partitions) for name, partitions in found.items()})


async def partitions(settings: Settings, names: Iterable[str]) -> dict[str, int]:
    """Returns how many partitions each of these topics has; one that is not there is left out, and is not made.

    Raises BrokerError, one line, within 10 s when no broker answers.
    """
    async with connected(settings) as admin:
        return {name: len(found) for name, found in (await topics_of(admin, names)).items()}


async def config_of(settings: Settings, topic: str, key: str) -> str:
    """Returns the effective value of one setting of a topic, as Kafka writes it. Raises BrokerError or TopicsError, one
    line."""
    async with connected(settings) as admin:
        return (await _config(admin, topic))[key][0]


async def topics_of(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Returns the partitions, as Kafka's metadata describes them, of those of the topics that exist."""
    # All topics are asked for, since a broker that makes topics by itself would make those that we name here.
    wanted, topics = set(names), await admin.describe_topics()
    return {
        topic["topic"]: topic["partitions"] for topic in topics if topic["topic"] in wanted and not topic["error_code"]
    }


async def _describe(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, TopicFound]:
    topics = await topics_of(admin, names)
    configs = await asyncio.gather(*(_config(admin, name) for name in topics))
    return {
        name: TopicFound(
            partitions=len(partitions),
            replication=min((len(partition["replicas"]) for partition in partitions), default=0),
            config={key: value for key, (value, _) in config.items()},
        )
        for (name, partitions), config in zip(topics.items(), configs, strict=True)
    }


async def _config(admin: AIOKafkaAdminClient, name: str) -> dict[str, tuple[str, int]]:
    """Returns a topic's effective settings: value and where it comes from (Kafka's ConfigSource)."""
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    code, message, _, _, entries = response.resources[0]
    _refuse([(name, code, message)])
    return {entry[0]: (entry[1], entry[3]) for entry in entries}


async def _mend(admin: AIOKafkaAdminClient, spec: TopicSpec, found: TopicFound | None) -> list[str]:
    if found is None:
        return await _make(admin, spec)
    lines = []
    wrong = {key: want.value for key, want in spec.config.items() if not want.accepts(found.config[key])}
    if wrong:
        await _alter(admin, spec.name, wrong)
        lines += [f"{spec.name}: {key} {found.config[key]} -> {value}" for key, value in wrong.items()]
    return lines


async def _make(admin: AIOKafkaAdminClient, spec: TopicSpec) -> list[str]:
    config = {key: want.value for key, want in spec.config.items()}
    if spec.replication >= 3:
        # An acknowledged record then survives the loss of any one broker; with two copies it would stop the writers.
        config["min.insync.replicas"] = "2"
    topic = NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=config)
    response = await admin.create_topics([topic])
    _refuse(error for error in response.topic_errors if error[1] != TopicAlreadyExistsError.errno)
    return [f"{spec.name}: made (partitions={spec.partitions}, replication={spec.replication})"]


async def _alter(admin: AIOKafkaAdminClient, name: str, changes: dict[str, str]) -> None:
    # aiokafka knows only the request that replaces all of a topic's own settings: what an operator set is sent again.
    kept = {key: value for key, (value, source) in (await _config(admin, name)).items() if source == SET_ON_TOPIC}
    (response,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {**kept, **changes})])
    _refuse((name, code, message) for code, message, _, _ in response.resources)


async def raise_partitions(admin: AIOKafkaAdminClient, topic: str, partitions: int) -> None:
    """Adds partitions to a topic that has fewer; returns when every broker knows a leader of each."""
    await admin.create_partitions({topic: NewPartitions(partitions)})
    await await_leaders(admin, topic, partitions)


async def await_leaders(admin: AIOKafkaAdminClient, topic: str, partitions: int) -> None:
    """Returns when every broker knows a leader of every partition: before that a client that happens to ask another one
    does not see it, and a producer's first record would be refused."""
    async with asyncio.timeout(CHANGE_SECONDS):
        while True:
            if min(await _led(admin, topic)) >= partitions:
                return
            await asyncio.sleep(POLL_SECONDS)


async def _led(admin: AIOKafkaAdminClient, topic: str) -> list[int]:
    """How many partitions of a topic have a leader, by the account of each broker that is there."""
    brokers = (await admin.describe_cluster())["brokers"]
    request = MetadataRequest([topic], allow_auto_topic_creation=False)
    answers = [await admin._send_request_to_node(broker["node_id"], request) for broker in brokers]
    topics = [answer.to_object()["topics"][0] for answer in answers]
    return [sum(partition["leader"] >= 0 for partition in topic["partitions"]) for topic in topics]


def _refuse(errors: Iterable[tuple[str, int, str | None]]) -> None:
    for name, code, message in errors:
        if code:
            error = for_code(code)
            said = message or error.message
            raise TopicsError(f"the broker refused a change of topic {name} ({said}){allowed(error())}")
