"""What one contestant is told, as one line of JSON in its arguments: what it reads, and what it must write."""

from __future__ import annotations

import struct
import sys
from typing import Any

import msgspec

COMMIT_SECONDS = 0.5
"""Between commits, for every contestant: the worker's own interval."""
BATCH_RECORDS = 2000
"""Records taken together by those that work in batches: as many as the worker takes."""
IN_FLIGHT = 4
"""Batches whose verdicts are not acknowledged yet, as in the worker."""
MAX_BATCH_BYTES = 900_000
"""Of one record batch, as in the worker: under the broker's limit of 1 MiB."""
_PLACE = struct.Struct(">IQ")


class Sizes(msgspec.Struct, frozen=True):
    """Bytes of the worker's own records, measured, without Kafka's framing."""

    changelog_key: int
    changelog_value: int
    verdict: int


class Plan(msgspec.Struct, frozen=True):
    """The work of one contestant in one round.

    `prefix` and `app_id` name the worker's topics; the others write to `changelog` and `verdicts`. `folder` is theirs
    for state on disk."""

    broker: str
    turns: str
    changelog: str
    verdicts: str
    group: str
    prefix: str
    app_id: str
    partitions: int
    sizes: Sizes
    folder: str

    @classmethod
    def from_arguments(cls) -> Plan:
        """The plan that the runner gave this process."""
        return msgspec.json.decode(sys.argv[1], type=cls)

    def to_argument(self) -> str:
        return msgspec.json.encode(self).decode()

    def changelog_key(self, partition: int, offset: int) -> bytes:
        """A key of the worker's size, and another for every turn."""
        return _PLACE.pack(partition, offset).ljust(self.sizes.changelog_key, b"\0")

    @property
    def changelog_value(self) -> bytes:
        return b"p" * self.sizes.changelog_value

    @property
    def verdict(self) -> bytes:
        return b"v" * self.sizes.verdict

    def librdkafka(self) -> dict[str, Any]:
        """The settings of a librdkafka producer that promises what the worker's does."""
        return {
            "bootstrap.servers": self.broker,
            "enable.idempotence": True,
            "acks": "all",
            "queue.buffering.max.messages": 1_000_000,
        }

    def librdkafka_consumer(self) -> dict[str, Any]:
        """The settings of a librdkafka consumer that starts at the beginning and is told what to commit."""
        return {
            "bootstrap.servers": self.broker,
            "group.id": self.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
