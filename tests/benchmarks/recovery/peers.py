"""`python -m benchmarks.recovery.peers KIND PLAN`: one other client that brings a copy of the state up, then says so in
one line of JSON and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """What a peer is told. `seconds`: how long it may take."""

    broker: str
    app_id: str
    changelog: str
    turns: str
    partitions: int
    records: int
    folder: str
    seconds: float


class Told(msgspec.Struct, frozen=True):
    """What a peer says."""

    records: int
    seconds: float
    cpu_seconds: float
    rss_mb: float
    finished: bool


class Watch:
    """Wall clock and processor time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def told(self, records: int, finished: bool = True) -> Told:
        seconds, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return Told(records, seconds, cpu, rss_mb(os.getpid()), finished)


def rss_mb(pid: int) -> float:
    """Resident memory of a process now (Linux). Its peak would be that of the process that it was forked from."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def aiokafka(plan: Plan) -> Told:
    """A bare loop into a dictionary."""
    import uvloop
    from aiokafka import AIOKafkaConsumer, TopicPartition

    async def read() -> Told:
        tps = [TopicPartition(plan.changelog, number) for number in range(plan.partitions)]
        consumer = AIOKafkaConsumer(bootstrap_servers=plan.broker, max_partition_fetch_bytes=4 << 20)
        await consumer.start()
        watch, kept, seen = Watch(), dict[bytes, bytes](), 0
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        while seen < plan.records:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    kept[record.key] = record.value
                seen += len(records)
        told = watch.told(seen)
        await consumer.stop()
        return told

    return uvloop.run(read())


def librdkafka(plan: Plan) -> Told:
    """A bare loop of confluent-kafka into a dictionary."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": plan.broker, "group.id": "unused", "enable.auto.commit": False})
    watch, kept, seen = Watch(), dict[bytes, bytes](), 0
    consumer.assign([TopicPartition(plan.changelog, number, OFFSET_BEGINNING) for number in range(plan.partitions)])
    while seen < plan.records:
        for record in consumer.consume(10_000, 0.5):
            kept[record.key()] = record.value()
            seen += 1
    return watch.told(seen)


class Restored(Exception):
    """A recovery is over."""


class _Until(logging.Handler):
    """Ends the application at a line of its log."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        if self._line in record.getMessage():
            raise Restored


def quixstreams(plan: Plan) -> Told:
    """Its own recovery of a RocksDB state; the time includes joining the group."""
    from quixstreams import Application

    application = Application(
        broker_address=plan.broker, consumer_group=plan.app_id, state_dir=plan.folder, auto_offset_reset="earliest"
    )
    turns = application.topic(plan.turns, key_deserializer="bytes", value_deserializer="bytes")

    def keep(value: bytes, state: Any) -> bytes:
        state.set_bytes("turn", value)
        return value

    application.dataframe(turns).apply(keep, stateful=True)
    logging.getLogger("quixstreams").addHandler(_Until("Recovery process complete"))
    watch = Watch()
    try:
        application.run()
    except Restored:
        return watch.told(plan.records)
    raise RuntimeError("quixstreams ended by itself")


def faust(plan: Plan) -> Told:
    """Its own recovery of a Table in memory; the time includes joining the group. The records that it has come to when
    its time is over are counted in the table."""
    import faust as library

    app: Any = library.App(
        plan.app_id,
        broker=f"kafka://{plan.broker}",
        store="memory://",
        datadir=plan.folder,
        topic_partitions=plan.partitions,
        topic_disable_leader=True,
        web_enabled=False,
        broker_session_timeout=6.0,  # the next to use its group need not wait for its own of 60 s
        broker_heartbeat_interval=2.0,
    )
    table = app.Table("state", key_type=bytes, value_type=bytes, partitions=plan.partitions)

    @app.agent(app.topic(plan.turns, key_type=bytes, value_type=bytes, partitions=plan.partitions))  # type: ignore[untyped-decorator]
    async def turns(stream: Any) -> None:
        async for turn in stream:
            table[turn] = turn

    async def run() -> Told:
        app.loop = asyncio.get_running_loop()
        watch = Watch()
        starting = asyncio.ensure_future(app.start())  # ends with the recovery
        end, completed = time.monotonic() + plan.seconds, app.tables.recovery.completed
        while not completed.is_set() and time.monotonic() < end:
            if starting.done():
                starting.result()
            await asyncio.sleep(0.05)
        return watch.told(len(table.data), completed.is_set())

    return asyncio.new_event_loop().run_until_complete(run())  # what still runs ends with the process


KINDS = {"aiokafka": aiokafka, "librdkafka": librdkafka, "quixstreams": quixstreams, "faust": faust}


def main() -> None:
    plan = msgspec.json.decode(sys.argv[2], type=Plan)
    Path(plan.folder).mkdir(parents=True, exist_ok=True)
    told = KINDS[sys.argv[1]](plan)
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()
    os._exit(0)  # quixstreams and Faust would take their time


if __name__ == "__main__":
    main()
