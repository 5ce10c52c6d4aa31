"""What a partition remembers: the keys and values of the one table `state`, as they stand in its changelog.

Key prefixes: `p` pending turns, `m` moments of a context, `e` early labels, `c` conversations, one record `r` of how
far operators' requests are carried out, and one claim record that marks who may write. They share a changelog because
what a batch of labels does to votes and to moments must be one record batch, which Kafka appends whole or not at all;
so must a turn's decision and its place in its conversation."""

import struct
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import version
from typing import TypeVar

import msgspec

from ensemble.codec import VERSION as MOMENTS_VERSION
from ensemble.codec import decode as decode_moments
from ensemble.errors import EnsembleError
from ensemble.votes import Vote, majority
from stream.codecs import UNREADABLE
from stream.errors import StateError
from stream.records import Role

SCHEMA_VERSION = 1
VERSION = version("aegis-stream")
"""Of this application: what a record of a newer schema asks the operator to run."""
CLAIM = b"\0claim"
PENDING, MOMENTS, EARLY, CONVERSATION = b"p", b"m", b"e", b"c"
RECKONING = b"r"
BY_MAJORITY, NOTHING_LEARNED = -2, -1
UNFINISHED = b"?"
_LENGTH = struct.Struct(">H")


class Pending(msgspec.Struct, array_like=True, gc=False):
    """A turn whose advice waits for labels. A verdict is a pure function of its turn and this record, so it can be
    published again bit for bit.

    K experts, H half-lives. `digest` tells a turn seen again from another turn under the same id. Arrays are
    little-endian bytes: `scores` float32[K], `status` uint8[K], `weights` float32[K], `forecasts` float64[H]."""

    version: int
    scored_at_ms: int
    digest: bytes
    partition: int
    offset: int
    latency_ms: int
    context: str
    policy: str
    label: int
    """The decided class: 0 safe, 1 needs_caution, 2 unsafe."""
    experts: tuple[str, ...]
    scores: bytes
    status: bytes
    weights: bytes
    forecasts: bytes
    published: float | None
    rounds: int
    """Labelled turns whose effect was in the weights used."""
    used: float
    """The same counted in importance weights: what the total delay of the regret bound is computed from."""
    categories: dict[str, float]
    ask: float
    """The probability with which a label is asked for; its inverse is the importance weight of one that was."""
    votes: dict[str, Vote]
    """Annotator to (class, labelled_at in ms): the one vote of each that counts."""
    asked: bool = True
    """Whether a label was asked for. From here on fields have defaults, so that records from before them read as they
    were meant: then every turn was."""
    beside: dict[str, tuple[Vote, ...]] = {}
    """What annotators said besides: votes that a newer one replaced, or that are revoked, the newest first. A few are
    kept (`ensemble.votes.MOST_KEPT`), so that what a revoked vote had replaced comes back, and so does the vote when
    its revocation is taken back."""
    learned: int = BY_MAJORITY
    """The class whose round the moments hold, NOTHING_LEARNED where they hold none: whatever is asked for next, it is
    this round that is taken back. Records from before have the majority of their votes."""


class Early(msgspec.Struct, array_like=True, gc=False):
    """A label whose turn is not known (yet). `first_ms`: when it was first looked for; `due_ms`: when it is looked for
    again. `beside`: what the same annotator said besides, the newest first, as votes are kept: (first_ms, timestamp_ms,
    key, value) of each. `replays` and `replayed` are those of its journey. These stand last: records from before them
    have none."""

    version: int
    first_ms: int
    due_ms: int
    tries: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    beside: tuple[tuple[int, int, bytes | None, bytes], ...] = ()
    replays: int = 0
    replayed: str = ""


class Conversation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last turns of a conversation, oldest first: `said` as (role, text), `offsets` where each stands in `turns`.

    `written_ms`: our clock when it was last written, which says when it may go; `at_ms`: the latest broker's timestamp
    of its turns; `size`: what the turns count against the budget (`stream.conversations`)."""

    version: int
    written_ms: int
    at_ms: int
    size: int
    offsets: tuple[int, ...]
    said: tuple[tuple[str, str], ...]


class Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every record but moments begins with."""

    version: int


class PendingAge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The head of a `Pending`: what a sweep over all of them needs, in a third of the time."""

    version: int
    scored_at_ms: int


class ConversationAge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The head of a `Conversation`: what a sweep over all of them needs, without their texts."""

    version: int
    written_ms: int


class Reckoning(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a partition's state was last brought in line with: all operators' requests up to the offsets `through` (by
    partition of `requests.v1`), and the limits of annotators, as a digest; UNFINISHED where they are about to change.
    """

    version: int
    through: dict[int, int]
    limits: bytes


_encoder = msgspec.msgpack.Encoder()
_pending = msgspec.msgpack.Decoder(Pending)
_early = msgspec.msgpack.Decoder(Early)
_conversation = msgspec.msgpack.Decoder(Conversation)
_age = msgspec.msgpack.Decoder(ConversationAge)
_reckoning = msgspec.msgpack.Decoder(Reckoning)
_pending_age = msgspec.msgpack.Decoder(PendingAge)
_head = msgspec.msgpack.Decoder(Head)
encode = _encoder.encode
_T = TypeVar("_T", Pending, Early, Conversation, ConversationAge, Reckoning, PendingAge, Head)


def decode_pending(value: bytes) -> Pending:
    """Raise StateError if another version wrote it, or if it is not a pending record."""
    return _checked(_pending, value)


def decode_pending_age(value: bytes) -> PendingAge:
    """The head of a pending record; raise as `decode_pending` does."""
    return _checked(_pending_age, value)


def decode_early(value: bytes) -> Early:
    """Raise StateError if another version wrote it, or if it is not an early label."""
    return _checked(_early, value)


def decode_conversation(value: bytes) -> Conversation:
    """Raise StateError if another version wrote it, or if it is not a conversation."""
    return _checked(_conversation, value)


def decode_conversation_age(value: bytes) -> ConversationAge:
    """The head of a conversation; raise as `decode_conversation` does."""
    return _checked(_age, value)


def decode_reckoning(value: bytes) -> Reckoning:
    """Raise StateError if another version wrote it, or if it is not a reckoning."""
    return _checked(_reckoning, value)


def learned_of(pending: Pending) -> int | None:
    """The class whose round the moments hold; None where they hold none."""
    if pending.learned == BY_MAJORITY:
        return majority(pending.votes)
    return None if pending.learned == NOTHING_LEARNED else pending.learned


def _checked(decoder: "msgspec.msgpack.Decoder[_T]", value: bytes) -> _T:
    try:
        record = decoder.decode(value)
    except UNREADABLE as error:
        raise _foreign(str(error)) from error
    if record.version != SCHEMA_VERSION:
        raise StateError(
            f"a state record has schema version {record.version}, this worker reads {SCHEMA_VERSION}:"
            " run the version that wrote it"
        )
    return record


def _foreign(why: str) -> StateError:
    return StateError(
        f"a state record cannot be read ({why}): it was not written by this application; check AEGIS_APP_ID"
    )


_LONG_ARRAY = bytes([0xDC])
"""What a msgpack array of 16 items or more begins with; its length takes two bytes more, a shorter one's none."""


def refuse_unknown(key: bytes, value: bytes) -> None:
    """Raise StateError for a record that this version cannot read. For recoveries: the version alone is looked at, so
    that it costs less than reading the record from the broker does."""
    if key[:1] == MOMENTS:
        if len(value) < 3 or value[2] != MOMENTS_VERSION:
            try:
                decode_moments(value)
            except EnsembleError as error:
                raise StateError(str(error)) from error
    elif (value[3:4] if value[:1] == _LONG_ARRAY else value[1:2]) != _CURRENT:
        _checked(_head, value)


_CURRENT = bytes([SCHEMA_VERSION])


class _Claim(msgspec.Struct):
    partitions: int
    version: str


_claim = msgspec.json.Decoder(_Claim)


def claim_value(partitions: int) -> bytes:
    """Of the record that marks who may write: how many partitions its writer knew, and which version it was."""
    return msgspec.json.encode(_Claim(partitions, VERSION))


def claimed_by(value: bytes | None) -> str | None:
    """The version of the application that wrote a claim; None for one that does not say."""
    try:
        return _claim.decode(value).version if value else None
    except msgspec.DecodeError:
        return None


def pending_key(tenant: str, turn_id: str) -> bytes:
    i = turn_id.encode()
    return _pending_head(tenant, len(i)) + i


@lru_cache(maxsize=4096)
def _pending_head(tenant: str, length: int) -> bytes:
    """As in `_pair`: one of these for many turns, whose key is then one addition."""
    return PENDING + _prefixed(tenant) + _LENGTH.pack(length)


def turn_of(key: bytes) -> tuple[str, str]:
    """(tenant, turn id) of a pending record's key. Raise StateError for a key that none of ours is."""
    try:
        (first,) = _LENGTH.unpack_from(key, 1)
        (second,) = _LENGTH.unpack_from(key, 3 + first)
        tenant, turn_id = key[3 : 3 + first], key[5 + first : 5 + first + second]
        return tenant.decode(), turn_id.decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise _foreign("a key that names no turn") from error


def moments_key(context: str) -> bytes:
    return MOMENTS + context.encode()


def early_prefix(tenant: str, turn_id: str) -> bytes:
    """What the early labels of one turn have in common."""
    return EARLY + _pair(tenant, turn_id)


def early_key(tenant: str, turn_id: str, annotator: str) -> bytes:
    return early_prefix(tenant, turn_id) + annotator.encode()


def early_prefix_of(key: bytes) -> bytes:
    """The part of an early key that names its turn. Raise StateError for a key that none of ours is."""
    end = 1
    try:
        for _ in range(2):
            end += 2 + _LENGTH.unpack_from(key, end)[0]
    except struct.error as error:
        raise _foreign("a key that ends too soon") from error
    if end > len(key):
        raise _foreign("a key that ends too soon")
    return key[:end]


def conversation_key(tenant: str, conversation_id: str) -> bytes:
    return CONVERSATION + _pair(tenant, conversation_id)


def _pair(tenant: str, identifier: str) -> bytes:
    """Length-prefixed, since an id may hold any character."""
    i = identifier.encode()
    return _prefixed(tenant) + _LENGTH.pack(len(i)) + i


@lru_cache(maxsize=1024)
def _prefixed(tenant: str) -> bytes:
    t = tenant.encode()
    return _LENGTH.pack(len(t)) + t


def digest(role: Role, text: str) -> bytes:
    """Sixteen bytes that tell two texts of one turn id apart; no text is kept."""
    return blake2b(f"{role}\0{text}".encode(), digest_size=16).digest()


def context_of(tenant: str, role: Role) -> str:
    """The key that learns on its own."""
    return f"{tenant}/{role}"


def tenant_of(context: str) -> str:
    return context.rpartition("/")[0]
