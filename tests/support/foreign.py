"""A client that shares no code with the worker: confluent-kafka (librdkafka) and the standard library's JSON.

Its default partitioner, `consistent_random`, takes the CRC32 of the key, where Java and aiokafka take murmur2."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

Message = dict[str, Any]


def publish(bootstrap: str, topic: str, messages: Iterable[Message]) -> dict[str, int]:
    """Publish messages keyed by their conversation; once all are acknowledged, returns each turn id's partition."""
    landed: dict[str, int] = {}
    failures: list[Any] = []
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for message in messages:

        def delivered(error: Any, record: Any, turn_id: str = message["turn_id"]) -> None:
            if error is not None:
                failures.append(error)
            landed[turn_id] = record.partition()

        key = message["conversation_id"].encode()
        producer.produce(topic, json.dumps(message).encode(), key, on_delivery=delivered)
        producer.poll(0)
    waiting = producer.flush(30.0)
    assert not waiting, f"{waiting} messages were not acknowledged within 30 s"
    assert not failures, f"{len(failures)} messages were refused: {failures[0]}"
    return landed


def read(
    bootstrap: str, topic: str, partitions: int, complete: Callable[[list[Message]], bool], deadline: float = 30.0
) -> list[Message]:
    """Messages of a topic from its start until `complete` holds of them; fails after `deadline` seconds."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "foreign", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    messages: list[Message] = []
    end = time.monotonic() + deadline
    try:
        while not complete(messages):
            assert time.monotonic() < end, f"{topic}: {len(messages)} messages in {deadline:g} s, not what was awaited"
            for record in consumer.consume(500, 0.2):
                if record.error():
                    raise KafkaException(record.error())
                messages.append({**json.loads(record.value()), "_partition": record.partition(), "_key": record.key()})
    finally:
        consumer.close()
    return messages


def turn(turn_id: str, conversation_id: str, text: str) -> Message:
    """The contract's required fields, and one that it does not know."""
    return {
        "turn_id": turn_id,
        "conversation_id": conversation_id,
        "role": "user",
        "text": text,
        "sent_at": datetime.now(UTC).isoformat(),
        "client": "foreign",
    }


def label(turn_id: str, conversation_id: str, says: str, **fields: Any) -> Message:
    return {
        "turn_id": turn_id,
        "conversation_id": conversation_id,
        "label": says,
        "annotator": "ann",
        "labelled_at": datetime.now(UTC).isoformat(),
        **fields,
    }
