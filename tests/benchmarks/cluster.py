"""What the runner asks of the broker: topics, the turns to read, and what stands in the outputs. By librdkafka, so that
the runner takes as little as it can of the processors that it shares with the contestants."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

Offsets = dict[int, int]
STAMPED = {"message.timestamp.type": "LogAppendTime"}
"""The broker's clock tells when a record was appended: no contestant's own clock decides."""
ANSWER_SECONDS = 30.0
POLL_SECONDS = 0.05
LEADERLESS = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._NOENT,
    KafkaError.UNKNOWN_LEADER_EPOCH,  # the metadata was newer than the broker asked: leaders move at the start
    KafkaError.FENCED_LEADER_EPOCH,
)

NO_COORDINATOR = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)


@dataclass
class Appended:
    """What was appended to one topic: records and bytes (keys and values) by the broker's time in ms."""

    records: dict[int, int] = field(default_factory=dict)
    key_bytes: int = 0
    value_bytes: int = 0

    @property
    def count(self) -> int:
        return sum(self.records.values())

    def add(self, stamp: int, key: bytes | None, value: bytes | None) -> None:
        self.records[stamp] = self.records.get(stamp, 0) + 1
        self.key_bytes += len(key or b"")
        self.value_bytes += len(value or b"")


class Cluster:
    """One broker, and the topics of this benchmark on it."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin = self._new_admin()

    def _new_admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self._bootstrap})

    def create(self, topic: str, partitions: int) -> None:
        """Makes a topic whose records are stamped by the broker, and waits for its leaders."""
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=STAMPED)
        self._wait(self._admin.create_topics([new]))
        self.ends(topic, partitions)

    def stamp(self, topics: Iterable[str]) -> None:
        """Has the broker stamp the records of topics that are there."""
        (key, value) = next(iter(STAMPED.items()))
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        resources = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry]) for topic in topics]
        self._wait(self._admin.incremental_alter_configs(resources))

    def delete(self, prefixes: Iterable[str]) -> None:
        """Deletes every topic whose name begins so."""
        starts = tuple(prefixes)
        found = [topic for topic in self._admin.list_topics(timeout=ANSWER_SECONDS).topics if topic.startswith(starts)]
        if found:
            self._wait(self._admin.delete_topics(found))

    def fill(self, topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Writes records by their keys, placed as Kafka's own clients place them."""
        producer = Producer({"bootstrap.servers": self._bootstrap, "acks": "all", "partitioner": "murmur2_random"})
        for key, value in records:
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(ANSWER_SECONDS):
            raise RuntimeError(f"{topic} was not filled within {ANSWER_SECONDS:g} s after the last record")

    def ends(self, topic: str, partitions: int) -> Offsets:
        """Where each partition ends; waits for the leaders of a topic that was just made."""
        asked = {TopicPartition(topic, number): OffsetSpec.latest() for number in range(partitions)}
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                answers = self._admin.list_offsets(asked, request_timeout=ANSWER_SECONDS)
                return {tp.partition: future.result().offset for tp, future in answers.items()}
            except KafkaException as error:
                if error.args[0].code() not in LEADERLESS or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)
            self._admin = self._new_admin()  # one that asked too early keeps the answer that there is no leader

    def committed(self, group: str, topic: str, partitions: int) -> Offsets:
        """The group's committed offset of each partition, 0 where there is none."""
        reader = Consumer({"bootstrap.servers": self._bootstrap, "group.id": group})
        asked = [TopicPartition(topic, number) for number in range(partitions)]
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            while True:
                try:
                    return {tp.partition: max(0, tp.offset) for tp in reader.committed(asked, timeout=ANSWER_SECONDS)}
                except KafkaException as error:  # a young broker has no coordinator for the group yet
                    if error.args[0].code() not in NO_COORDINATOR or time.monotonic() > deadline:
                        raise
                time.sleep(POLL_SECONDS)
        finally:
            reader.close()

    def members(self, group: str, topic: str) -> int:
        """Members of the group that have a partition of the topic; none as long as it has no coordinator."""
        try:
            described = self._admin.describe_consumer_groups([group], request_timeout=ANSWER_SECONDS)[group].result()
        except KafkaException as error:
            if error.args[0].code() not in NO_COORDINATOR:
                raise
            return 0
        held = ([tp.topic for tp in member.assignment.topic_partitions] for member in described.members)
        return sum(topic in topics for topics in held)

    def read(self, topic: str, start: Offsets, end: Offsets) -> Appended:
        """What stands from `start` up to `end`."""
        found = Appended()
        for record in self.records(topic, start, end):
            found.add(record.timestamp()[1], record.key(), record.value())
        return found

    def records(self, topic: str, start: Offsets, end: Offsets) -> Iterator[Any]:
        """The records from `start` up to `end`, in no order between partitions."""
        left = {number: offset for number, offset in end.items() if offset > start.get(number, 0)}
        reader = Consumer({"bootstrap.servers": self._bootstrap, "group.id": "unused", "enable.auto.commit": False})
        reader.assign([TopicPartition(topic, number, start.get(number, 0) or OFFSET_BEGINNING) for number in left])
        deadline = time.monotonic() + ANSWER_SECONDS
        while left:
            for record in reader.consume(10_000, 0.2):
                deadline = time.monotonic() + ANSWER_SECONDS
                if record.error():
                    continue  # a leader that is not known yet; the deadline bounds it
                yield record
                if record.offset() + 1 >= left.get(record.partition(), 0):
                    left.pop(record.partition(), None)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{topic}: nothing more came for {ANSWER_SECONDS:g} s before the end was read")
        reader.close()

    def _wait(self, futures: dict[Any, Any]) -> None:
        for future in futures.values():
            future.result(ANSWER_SECONDS)
