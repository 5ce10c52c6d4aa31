"""What no well-meant client writes, and a broker takes all the same."""

from __future__ import annotations

import struct
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.record.util import calc_crc32c

_CRC_AT, _CHECKED_FROM = 17, 21
"""In a record batch of version 2."""


async def with_header_name(bootstrap: str, topic: str, name: bytes, value: bytes = b"{", **where: Any) -> Any:
    """Sends a record with one header of this name, which need not be UTF-8; returns aiokafka's metadata of it."""
    placeholder = b"\x01" * len(name)
    real = MessageBatch.get_data_buffer

    def forged(batch: Any) -> bytearray:
        data = bytearray(real(batch))
        at = data.index(placeholder)
        data[at : at + len(name)] = name
        struct.pack_into(">I", data, _CRC_AT, calc_crc32c(bytes(data[_CHECKED_FROM:])))
        return data

    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        MessageBatch.get_data_buffer = forged
        try:
            return await producer.send_and_wait(topic, value, headers=[(placeholder.decode(), b"x")], **where)
        finally:
            MessageBatch.get_data_buffer = real


async def with_nothing(bootstrap: str, topic: str, partition: int) -> Any:
    """Sends a record that has neither key nor value nor headers."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        batch = producer.create_batch()
        batch.append(timestamp=None, key=None, value=None, headers=[])
        return await (await producer.send_batch(batch, topic, partition=partition))
