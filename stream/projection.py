"""Moments for everybody: what each partition has learned, published so that every worker forecasts alike.

The state's changelog holds a pending record of every turn, so reading all of it on every worker would cost each worker
the whole traffic. `moments.v1` has one record per context and partition. It is derived: an owner publishes all its
contexts anew when it becomes ready, and each record carries the changelog offset that it reflects, so that a reader
drops one that is older than what it has (an owner that was paused can still write here)."""

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, TypeVar

import msgspec
from aiokafka.errors import ProducerFenced

from ensemble.codec import decode, encode
from ensemble.errors import MomentsError, MomentsVersionError
from ensemble.moments import Moments
from stream.codecs import UNREADABLE
from stream.errors import ForeignRecordError, StateError
from stream.ownership import Ownership
from stream.partitions import Partition
from stream.producer import Outgoing, Producer, fenced
from stream.state import moments_key

INTERVAL = 0.2
"""Seconds between publications: learning is hours late anyway, and the bound counts staleness as delay."""
TOGETHER = 25
"""Contexts in one record batch: gzip takes about 2 ms for them, and a batch for each of a dozen partitions may come at
once."""
ANNOUNCED_TOGETHER = 1_000
"""Contexts an interval that a beginning owner says anew: 5,000 a second, so that 10,000 tenants take half a minute and
a tenth of the loop's time."""
PART, BASELINE, PRIOR, COUNTS = b"m", b"b", b"p", b"c"
"""What a key begins with: moments, baseline or prior of the context that follows, or a number of partitions that turns
have had. A tenant may have any name, so a context never stands alone. All but moments are in partition 0."""


def part_key(context: str) -> bytes:
    return PART + context.encode()


def baseline_key(context: str) -> bytes:
    return BASELINE + context.encode()


def prior_key(context: str) -> bytes:
    return PRIOR + context.encode()


def context_of_key(key: bytes) -> str:
    """Of a part's, a baseline's or a prior's key. A part's may be that of labels nobody asked for (`asking`). Raises
    ForeignRecordError for any other."""
    try:
        return key[1:].decode()
    except UnicodeDecodeError as error:
        raise ForeignRecordError("a key that is not UTF-8") from error


class Part(msgspec.Struct, array_like=True):
    """What one partition has learned of one context, as of changelog offset `offset`."""

    version: int
    offset: int
    moments: bytes


class Baseline(msgspec.Struct, array_like=True):
    """The moments at the time when a context's policy came to be read as it is now; None from the start."""

    version: int
    fingerprint: str
    moments: bytes | None


class Prior(msgspec.Struct, array_like=True):
    """The weights of experts by their names with which a context began, fixed from then on; none: all alike."""

    version: int
    weights: dict[str, float]


VERSION = 1
MOST_PARTITIONS = 1_000_000
"""Of one topic: far more than any cluster has."""
_encoder = msgspec.msgpack.Encoder()
_parts = msgspec.msgpack.Decoder(Part)
_baselines = msgspec.msgpack.Decoder(Baseline)
_priors = msgspec.msgpack.Decoder(Prior)
_Count = Annotated[int, msgspec.Meta(ge=1, le=MOST_PARTITIONS)]  # a key's hash is divided by it
_counts = msgspec.json.Decoder(Annotated[list[_Count], msgspec.Meta(min_length=1, max_length=1_000)])


def part_of(value: bytes) -> tuple[int, bytes]:
    """(changelog offset, moments as they are encoded). Raises StateError for another version, ForeignRecordError for no
    such record."""
    part = _read(_parts, value)
    return part.offset, part.moments


def decode_part(value: bytes) -> tuple[int, Moments]:
    """(changelog offset, moments). Raises as `part_of` does."""
    offset, record = part_of(value)
    return offset, told(decode, record)


def encode_part(offset: int, moments: Moments) -> bytes:
    return _encode_part(offset, encode(moments))


def _encode_part(offset: int, record: bytes) -> bytes:
    return _encoder.encode(Part(VERSION, offset, record))


def baseline_of(value: bytes) -> tuple[str, bytes | None]:
    """(fingerprint of the policy, moments when it began as they are encoded). Raises as `part_of` does."""
    baseline = _read(_baselines, value)
    return baseline.fingerprint, baseline.moments


def encode_baseline(fingerprint: str, moments: Moments | None) -> bytes:
    return _encoder.encode(Baseline(VERSION, fingerprint, encode(moments) if moments is not None else None))


def decode_prior(value: bytes) -> dict[str, float]:
    """Expert to weight. Raises as `decode_part` does."""
    weights = _read(_priors, value).weights
    if weights and not (all(weight >= 0 for weight in weights.values()) and 0 < sum(weights.values()) < math.inf):
        raise ForeignRecordError("a prior whose weights are none")
    return weights


def encode_prior(weights: dict[str, float]) -> bytes:
    return _encoder.encode(Prior(VERSION, weights))


def prior_record(context: str, weights: dict[str, float]) -> Outgoing:
    return Outgoing(prior_key(context), encode_prior(weights))


def decode_counts(value: bytes) -> list[int]:
    """Numbers of partitions that turns have had. Raises ForeignRecordError for no such record."""
    try:
        counts: list[int] = _counts.decode(value)
    except UNREADABLE as error:
        raise ForeignRecordError(f"no partition counts ({error})") from error
    return counts


def count_record(partitions: int) -> Outgoing:
    """That turns have had so many partitions, or will have: a key for each number, so that whoever writes one takes no
    other away. (Before, one record under `COUNTS` alone held them all; it is still read.)"""
    return Outgoing(COUNTS + b"%d" % partitions, b"[%d]" % partitions)


_Record = TypeVar("_Record", Part, Baseline, Prior)
_Read = TypeVar("_Read")


def _read(decoder: "msgspec.msgpack.Decoder[_Record]", value: bytes) -> _Record:
    try:
        record = decoder.decode(value)
    except UNREADABLE as error:
        raise ForeignRecordError(f"no record of this topic ({error})") from error
    if record.version != VERSION:
        raise StateError(
            f"a record of moments.v1 has schema version {record.version}, this worker reads {VERSION}:"
            " run the version that wrote it"
        )
    return record


def told(read: Callable[[bytes], _Read], record: bytes) -> _Read:
    """What `read` makes of encoded moments, with its refusals as those of this topic: StateError for another version,
    ForeignRecordError for bytes that are no moments."""
    try:
        return read(record)
    except MomentsVersionError as error:
        raise StateError(str(error)) from error
    except MomentsError as error:
        raise ForeignRecordError(str(error)) from error


class Projection:
    """Collects the contexts that changed, and publishes each at most once an interval; beside them, some at a time, all
    contexts of a partition whose owner begins."""

    def __init__(self, producer: Producer, topic: str, ownership: Ownership) -> None:
        self._producer = producer
        self._topic = topic
        self._ownership = ownership
        self._touched: dict[int, set[str]] = {}
        self._announcing: dict[int, list[str]] = {}
        self._announced = 0
        self._flushing = asyncio.Lock()

    def touch(self, partition: Partition, contexts: Iterable[str]) -> None:
        """What was learned is acknowledged: publish it soon."""
        self._touched.setdefault(partition.number, set()).update(contexts)

    async def run(self) -> None:
        """For ever: publish what changed, and everything of this worker's partitions once a generation."""
        while True:
            await asyncio.sleep(INTERVAL)
            generation = self._ownership.generation
            if generation and generation != self._announced:
                await self.begin(generation)
            await self.publish()

    async def begin(self, generation: int) -> None:
        """What this worker owns in a new generation is to be said anew."""
        self._announcing = {}
        for number, partition in list(self._ownership.partitions.items()):
            self._announcing[number] = sorted(partition.contexts(), reverse=True)
            await asyncio.sleep(0)
        self._announced = generation

    async def publish(self) -> None:
        """What was learned, and some more of what is said anew: a reader that knows it already drops it."""
        self._announce()
        await self.flush()

    def _announce(self) -> None:
        most = ANNOUNCED_TOGETHER
        for number, contexts in list(self._announcing.items()):
            partition, some = self._ownership.partitions.get(number), contexts[-most:]
            del contexts[len(contexts) - len(some) :]
            if not contexts or partition is None:
                del self._announcing[number]
            if partition is not None:
                self.touch(partition, some)
            most -= len(some)
            if most <= 0:
                return

    def hasten(self, partition: Partition) -> None:
        """Publish soon whatever of a partition has not been said in this generation: the owner before may have written
        moments and died before it published them."""
        if self._announced != partition.generation or partition.number in self._announcing:
            self.touch(partition, partition.contexts())

    async def flush(self) -> None:
        """Returns when all that was touched before is published, also what another call has begun with."""
        async with self._flushing:
            await self._flush()

    async def _flush(self) -> None:
        touched, self._touched = self._touched, {}
        sent = []
        for number, contexts in touched.items():
            ordered = sorted(contexts)
            for start in range(0, len(ordered), TOGETHER):
                partition = self._ownership.partitions.get(number)  # it may go meanwhile
                if partition is None or not partition.generation:
                    break
                records = list(_records(partition, ordered[start : start + TOGETHER]))
                sent.append(self._producer.append(self._topic, number, records, gzip=True))
                await asyncio.sleep(0)
        try:
            await asyncio.gather(*sent)
        except ProducerFenced as error:  # of partition 0: the others' records may come from anybody
            raise fenced(error, self._topic, 0) from error


def _records(partition: Partition, contexts: Iterable[str]) -> Iterator[Outgoing]:
    """The store's own bytes: they are what the broker has acknowledged, as of the changelog offset beside them."""
    offset = partition.next_offset - 1
    for context in contexts:
        record = partition.store.get(moments_key(context))
        if record is not None:
            yield Outgoing(part_key(context), _encode_part(offset, record))
