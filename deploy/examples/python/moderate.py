"""Publish turns of a conversation, wait for their verdicts, and label each of them.

    python moderate.py --label safe "How are you?" "Tell me about Kafka."

Prints one line of JSON a verdict. Exit code 0: all turns were decided and labelled; 1: not all, and stderr says why.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

Json = dict[str, Any]
Place = tuple[int, int]
"""Partition and offset of a record."""
DELIVERY_SECONDS, VERDICT_SECONDS = 30.0, 60.0


class Refused(Exception):
    """A turn has no verdict: it is a dead letter, or none came in time."""


@dataclass(frozen=True)
class Topics:
    turns: str
    verdicts: str
    labels: str
    dead_letters: str

    @classmethod
    def under(cls, prefix: str) -> Topics:
        return cls(*(f"{prefix}{name}.v1" for name in ("turns", "verdicts", "labels", "dead-letters")))


def publish(producer: Producer, topic: str, messages: Iterable[Json]) -> dict[Place, Json]:
    """Each message by the place where it stands, once every replica has it; raises KafkaException if one was refused.

    The key is the conversation's id: it keeps a conversation in order in one partition."""
    landed: dict[Place, Json] = {}
    refused: list[KafkaError] = []
    for message in messages:

        def delivered(error: KafkaError | None, record: Message, message: Json = message) -> None:
            if error is not None:
                refused.append(error)
            else:
                landed[record.partition(), record.offset()] = message

        producer.produce(topic, json.dumps(message), message["conversation_id"], on_delivery=delivered)
        producer.poll(0)  # serves the callbacks of those that were delivered by now
    if waiting := producer.flush(DELIVERY_SECONDS):
        raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, f"{waiting} messages were not acknowledged"))
    if refused:
        raise KafkaException(refused[0])
    return landed


def from_now_on(consumer: Consumer, *topics: str) -> None:
    """Read these topics from where they end now. Before the turns are published, so that no answer is missed.

    No group: this program waits for its own verdicts alone, wherever they are. A service that acts on every verdict
    subscribes with a group id, and commits after it has acted."""
    known = consumer.list_topics(timeout=DELIVERY_SECONDS).topics
    for topic in topics:
        if topic not in known or known[topic].error is not None:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, f"{topic} (run `aegis topics create`)"))
    places = [TopicPartition(topic, number) for topic in topics for number in known[topic].partitions]
    for place in places:
        _, place.offset = consumer.get_watermark_offsets(place, timeout=DELIVERY_SECONDS)
    consumer.assign(places)


def verdicts(consumer: Consumer, topics: Topics, sent: dict[Place, Json], stop: threading.Event) -> Iterator[Json]:
    """The verdict of each turn of `sent`, as they come. Raises Refused when one will not come."""
    waiting = {turn["turn_id"] for turn in sent.values()}
    deadline = time.monotonic() + VERDICT_SECONDS
    while waiting:
        if stop.is_set() or time.monotonic() > deadline:
            why = "stopped" if stop.is_set() else "does a worker run?"
            raise Refused(f"no verdict yet of {len(waiting)} turns ({why})")
        record = consumer.poll(0.5)
        if record is None:
            continue
        if record.error() is not None:
            raise KafkaException(record.error())
        if record.topic() == topics.dead_letters:
            refuse_ours(record, topics.turns, sent)
            continue
        verdict: Json = json.loads(record.value())  # fields that this program does not know are no concern of it
        if verdict["turn_id"] in waiting:  # others' verdicts come too, and one may come twice, the same to the byte
            waiting.remove(verdict["turn_id"])
            yield verdict


def refuse_ours(letter: Message, turns: str, sent: dict[Place, Json]) -> None:
    """Raise Refused if this dead letter was one of our turns: its headers tell where it stood, and what was wrong."""
    headers = {name: value.decode() for name, value in letter.headers() or [] if name.startswith("aegis-")}
    place = int(headers["aegis-partition"]), int(headers["aegis-offset"])
    if headers["aegis-topic"] == turns and place in sent:
        raise Refused(f"turn {sent[place]['turn_id']}: {headers['aegis-reason']} ({headers['aegis-detail']})")


def label_of(verdict: Json, says: str, annotator: str) -> Json:
    """`source`, copied from the verdict, leads the label to its turn without a search."""
    ids = {name: verdict[name] for name in ("turn_id", "conversation_id", "tenant", "source")}
    return {**ids, "label": says, "annotator": annotator, "labelled_at": datetime.now(UTC).isoformat()}


def moderate(options: argparse.Namespace, stop: threading.Event) -> None:
    topics = Topics.under(options.prefix)
    producer = Producer(
        {
            "bootstrap.servers": options.broker,
            "enable.idempotence": True,  # acks=all, and a retry neither doubles nor reorders
            "partitioner": "murmur2_random",  # as Java's clients choose: librdkafka's own choice is another
        }
    )
    consumer = Consumer({"bootstrap.servers": options.broker, "group.id": "none", "enable.auto.commit": False})
    try:
        from_now_on(consumer, topics.verdicts, topics.dead_letters)
        conversation = f"example-{uuid.uuid4()}"
        sent = publish(producer, topics.turns, (turn_of(text, conversation, options.role) for text in options.texts))
        for verdict in verdicts(consumer, topics, sent, stop):
            print(json.dumps(verdict), flush=True)
            publish(producer, topics.labels, [label_of(verdict, options.label, "example-python")])
    finally:
        consumer.close()
        producer.flush(DELIVERY_SECONDS)


def turn_of(text: str, conversation_id: str, role: str) -> Json:
    now = datetime.now(UTC).isoformat()
    return {
        "turn_id": str(uuid.uuid4()),  # the same id again, with the same text, gets the same verdict again
        "conversation_id": conversation_id,
        "role": role,
        "text": text,
        "sent_at": now,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default=os.environ.get("AEGIS_BROKER", "127.0.0.1:9092"))
    parser.add_argument("--prefix", default=os.environ.get("AEGIS_TOPIC_PREFIX", "aegis."), help="of the topics' names")
    parser.add_argument("--label", default="safe", help="safe, needs_caution or unsafe")
    parser.add_argument("--role", default="user", help="user, assistant or system")
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="one turn each, of one conversation")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        moderate(parser.parse_args(), stop)
    except Refused as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KafkaException as error:
        print(f"Error: {error.args[0].str()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
