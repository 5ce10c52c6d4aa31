"""The operator's word that a changelog may begin later than the state needs.

It is kept as the group's committed offset of the changelog, which nobody else commits: it lives where the group's other
offsets do, and names how much was accepted, so that a later loss is refused again."""

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from stream import connection, groups
from stream.errors import TopicsError
from stream.offsets import refuse_members
from stream.settings import Settings
from stream.topics import TopicNames
from stream.topics_admin import connected, topics_of


async def accepted(admin: AIOKafkaAdminClient, settings: Settings) -> dict[int, int]:
    """Of each partition of the changelog the offset at which it may begin."""
    name = TopicNames.of(settings).changelog
    committed = await groups.committed(admin, settings.app_id)
    return {tp.partition: offset for tp, offset in committed.items() if tp.topic == name}


async def accept(settings: Settings) -> list[str]:
    """Accepts where the changelog begins now; returns a line for each partition that lost records.

    Raises TopicsError when the changelog is missing or the group has members (a worker runs), BrokerError when no
    broker answers."""
    name = TopicNames.of(settings).changelog
    async with connected(settings) as admin:
        await refuse_members(admin, settings)
        found = await topics_of(admin, [name])
        if name not in found:
            raise TopicsError(f"topic {name} does not exist: run `aegis topics create`")
        before = await accepted(admin, settings)
        tps = [TopicPartition(name, number) for number in range(len(found[name]))]
        consumer = connection.consumer(settings, group_id=settings.app_id)
        try:
            await consumer.start()
            begins = await consumer.beginning_offsets(tps)
            lost = {tp: begin for tp, begin in begins.items() if begin > before.get(tp.partition, 0)}
            if lost:
                consumer.assign(list(lost))
                await consumer.commit(lost)  # without a member id: the broker refuses it if a worker has joined
        finally:
            await consumer.stop()
    return [f"{name}[{tp.partition}]: begins at offset {lost[tp]}, accepted" for tp in sorted(lost)]
