"""What a partition remembers: the keys and values of the one table `state`, as they stand in its changelog.

Key prefixes: `p` pending turns, `m` moments of a context, `e` early labels, `c` conversations, and one claim record
that marks who may write. They share a changelog because what a batch of labels does to votes and to moments must be one
record batch, which Kafka appends whole or not at all; so must a turn's decision and its place in its conversation."""

import struct
from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar

import msgspec

from ensemble.votes import Vote
from stream.errors import StateError
from stream.records import Role

SCHEMA_VERSION = 1
CLAIM = b"\0claim"
PENDING, MOMENTS, EARLY, CONVERSATION = b"p", b"m", b"e", b"c"
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
    """Annotator to (class, labelled_at in ms): one vote each."""
    asked: bool = True
    """Whether a label was asked for. It stands last, so that records from before it, when every turn was, read so."""


class Early(msgspec.Struct, array_like=True, gc=False):
    """A label whose turn is not known (yet). `first_ms`: when it was first looked for; `due_ms`: when it is looked for
    again."""

    version: int
    first_ms: int
    due_ms: int
    tries: int
    timestamp_ms: int
    key: bytes | None
    value: bytes


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


class ConversationAge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The head of a `Conversation`: what a sweep over all of them needs, without their texts."""

    version: int
    written_ms: int


_encoder = msgspec.msgpack.Encoder()
_pending = msgspec.msgpack.Decoder(Pending)
_early = msgspec.msgpack.Decoder(Early)
_conversation = msgspec.msgpack.Decoder(Conversation)
_age = msgspec.msgpack.Decoder(ConversationAge)
encode = _encoder.encode
_T = TypeVar("_T", Pending, Early, Conversation, ConversationAge)


def decode_pending(value: bytes) -> Pending:
    """Raise StateError if another version wrote it, or if it is not a pending record."""
    return _checked(_pending, value)


def decode_early(value: bytes) -> Early:
    """Raise StateError if another version wrote it, or if it is not an early label."""
    return _checked(_early, value)


def decode_conversation(value: bytes) -> Conversation:
    """Raise StateError if another version wrote it, or if it is not a conversation."""
    return _checked(_conversation, value)


def decode_conversation_age(value: bytes) -> ConversationAge:
    """The head of a conversation; raise as `decode_conversation` does."""
    return _checked(_age, value)


def _checked(decoder: "msgspec.msgpack.Decoder[_T]", value: bytes) -> _T:
    try:
        record = decoder.decode(value)
    except msgspec.DecodeError as error:
        raise StateError(
            f"a state record cannot be read ({error}): it was not written by this application; check AEGIS_APP_ID"
        ) from error
    if record.version != SCHEMA_VERSION:
        raise StateError(
            f"a state record has schema version {record.version}, this worker reads {SCHEMA_VERSION}:"
            " run the version that wrote it"
        )
    return record


def pending_key(tenant: str, turn_id: str) -> bytes:
    i = turn_id.encode()
    return _pending_head(tenant, len(i)) + i


@lru_cache(maxsize=4096)
def _pending_head(tenant: str, length: int) -> bytes:
    """As in `_pair`: one of these for many turns, whose key is then one addition."""
    return PENDING + _prefixed(tenant) + _LENGTH.pack(length)


def moments_key(context: str) -> bytes:
    return MOMENTS + context.encode()


def early_prefix(tenant: str, turn_id: str) -> bytes:
    """What the early labels of one turn have in common."""
    return EARLY + _pair(tenant, turn_id)


def early_key(tenant: str, turn_id: str, annotator: str) -> bytes:
    return early_prefix(tenant, turn_id) + annotator.encode()


def early_prefix_of(key: bytes) -> bytes:
    """The part of an early key that names its turn."""
    end = 1
    for _ in range(2):
        end += 2 + _LENGTH.unpack_from(key, end)[0]
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
