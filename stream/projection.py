"""Moments for everybody: what each partition has learned, published so that every worker forecasts alike.

The state's changelog holds a pending record of every turn, so reading all of it on every worker would cost each worker
the whole traffic. `moments.v1` has one record per context and partition. It is derived: an owner publishes all its
contexts anew when it becomes ready, and each record carries the changelog offset that it reflects, so that a reader
drops one that is older than what it has (an owner that was paused can still write here)."""

import asyncio
from collections.abc import Iterable

import msgspec

from ensemble.codec import decode, encode
from ensemble.errors import EnsembleError
from ensemble.moments import Moments
from stream.errors import StateError
from stream.ownership import Ownership
from stream.partitions import Partition
from stream.producer import Outgoing, Producer

INTERVAL = 0.2
"""Seconds between publications: learning is hours late anyway, and the bound counts staleness as delay."""
PART, BASELINE, PRIOR, COUNTS_KEY = b"m", b"b", b"p", b"c"
"""What a key begins with: moments, baseline or prior of the context that follows, or the partition counts so far,
newest first. A tenant may have any name, so a context never stands alone. All but moments are in partition 0."""


def part_key(context: str) -> bytes:
    return PART + context.encode()


def baseline_key(context: str) -> bytes:
    return BASELINE + context.encode()


def prior_key(context: str) -> bytes:
    return PRIOR + context.encode()


def context_of_key(key: bytes) -> str:
    """Of a part's, a baseline's or a prior's key. A part's may be that of labels nobody asked for (`asking`)."""
    return key[1:].decode()


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
_encoder = msgspec.msgpack.Encoder()
_parts = msgspec.msgpack.Decoder(Part)
_baselines = msgspec.msgpack.Decoder(Baseline)
_priors = msgspec.msgpack.Decoder(Prior)
_counts = msgspec.json.Decoder(list[int])


def decode_part(value: bytes) -> tuple[int, Moments]:
    """(changelog offset, moments). Raises StateError for another version."""
    part = _parts.decode(value)
    if part.version != VERSION:
        raise StateError(
            f"a moments record has schema version {part.version}, this worker reads {VERSION}:"
            " run the version that wrote it"
        )
    try:
        return part.offset, decode(part.moments)
    except EnsembleError as error:
        raise StateError(f"a moments record: {error}") from error


def encode_part(offset: int, moments: Moments) -> bytes:
    return _encoder.encode(Part(VERSION, offset, encode(moments)))


def decode_baseline(value: bytes) -> tuple[str, Moments | None]:
    """(fingerprint of the policy, moments when it began). Raises StateError for another version."""
    baseline = _baselines.decode(value)
    if baseline.version != VERSION:
        raise StateError(
            f"a baseline has schema version {baseline.version}, this worker reads {VERSION}: run the version that wrote"
            " it"
        )
    return baseline.fingerprint, decode(baseline.moments) if baseline.moments is not None else None


def encode_baseline(fingerprint: str, moments: Moments | None) -> bytes:
    return _encoder.encode(Baseline(VERSION, fingerprint, encode(moments) if moments is not None else None))


def decode_prior(value: bytes) -> dict[str, float]:
    """Expert to weight. Raises StateError for another version."""
    prior = _priors.decode(value)
    if prior.version != VERSION:
        raise StateError(
            f"a prior has schema version {prior.version}, this worker reads {VERSION}: run the version that wrote it"
        )
    return prior.weights


def encode_prior(weights: dict[str, float]) -> bytes:
    return _encoder.encode(Prior(VERSION, weights))


def prior_record(context: str, weights: dict[str, float]) -> Outgoing:
    return Outgoing(prior_key(context), encode_prior(weights))


decode_counts = _counts.decode
encode_counts = msgspec.json.Encoder().encode


class Projection:
    """Collects the contexts that changed, and publishes each at most once an interval."""

    def __init__(self, producer: Producer, topic: str, ownership: Ownership) -> None:
        self._producer = producer
        self._topic = topic
        self._ownership = ownership
        self._touched: dict[int, set[str]] = {}
        self._announced = 0

    def touch(self, partition: Partition, contexts: Iterable[str]) -> None:
        """What was learned is acknowledged: publish it soon."""
        self._touched.setdefault(partition.number, set()).update(contexts)

    async def run(self) -> None:
        """For ever: publish what changed, and everything of this worker's partitions once a generation."""
        while True:
            await asyncio.sleep(INTERVAL)
            generation = self._ownership.generation
            if generation and generation != self._announced:
                for partition in self._ownership.partitions.values():
                    self.touch(partition, partition.contexts())
                self._announced = generation
            await self.flush()

    async def flush(self) -> None:
        touched, self._touched = self._touched, {}
        sent = []
        for number, contexts in touched.items():
            partition = self._ownership.partitions.get(number)
            if partition is not None and contexts and partition.generation:
                offset = partition.next_offset - 1
                records = [
                    Outgoing(part_key(c), encode_part(offset, partition.moments_of(c))) for c in sorted(contexts)
                ]
                sent.append(self._producer.append(self._topic, number, records))
        await asyncio.gather(*sent)
