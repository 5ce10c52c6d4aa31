"""The judgement at the end of a run: the oracle's, who knows the topics alone, and what only the sender can tell."""

from __future__ import annotations

from collections.abc import Iterator

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from chaos.traffic import Traffic
from stream.settings import Settings
from stream.topics import contract
from support.logs import Logs, read_logs
from support.oracle import Findings, check_invariants


async def judged(settings: Settings, traffic: Traffic) -> tuple[Findings, list[str]]:
    """What was found, and every problem. Nobody may be writing any more."""
    logs = await read_logs(settings)
    findings = check_invariants(settings, logs, traffic.turn_ids, await _unread(settings, logs))
    problems = [*findings.problems, *foreign(traffic, logs), *await _stray_topics(settings)]
    return findings, problems


def foreign(traffic: Traffic, logs: Logs) -> Iterator[str]:
    """The inputs hold what was sent and nothing else; a label that was passed on is the same bytes."""
    for name, records in (("turns", logs.turns), ("labels", logs.labels)):
        sent = {post.record.value or None for post in traffic.posts if post.to == name}
        found = {record.value or None for record in records}
        if found - sent:
            yield f"{name} holds {len(found - sent)} messages that nobody sent"
        if sent - found:
            yield f"{len(sent - found)} messages that were sent are not in {name}"


async def _unread(settings: Settings, logs: Logs) -> list[bytes]:
    """Labels that a worker sent again, in search of their turn, just before the last one left."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(settings.app_id)
    finally:
        await admin.close()
    read = {tp: committed.offset for tp, committed in offsets.items()}
    return [r.value for r in logs.labels if r.value and r.offset >= read.get(TopicPartition(r.topic, r.partition), 0)]


async def _stray_topics(settings: Settings) -> list[str]:
    """Topics under our names that the contract does not have."""
    known = {spec.name for spec in contract(settings)}
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker)
    await admin.start()
    try:
        ours = (settings.topic_prefix, f"{settings.app_id}-")
        return [f"topic {name} was made" for name in await admin.list_topics() if name.startswith(ours)
                and name not in known]  # fmt: skip
    finally:
        await admin.close()
