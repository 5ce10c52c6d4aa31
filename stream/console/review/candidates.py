"""A turn that asks for a label: where it stands, and why it was asked for. Never what was said in it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import IntEnum
from hashlib import blake2b
from sys import intern
from typing import Any

import msgspec

from ensemble.policy import PERMISSIVE, Policy
from stream.codecs import Rejected, decoded
from stream.records import Source

NEAR = 0.1
"""A score that lies so close to a threshold is uncertain: a tenth of the scale to both sides."""
APART = 0.4
"""Experts whose highest and lowest score are so far apart disagree: one of two would have to move past a third."""
KEY_BYTES = 12
"""Of the digest that names a turn: two of a million turns have the same one with a chance of 1 in 10^17."""


class Why(IntEnum):
    """Why a turn was asked for. It is not shown before the vote: that a turn was merely sampled says that the experts
    are sure of it, and most turns are safe."""

    SAMPLED = 0
    UNCERTAIN = 1
    DISAGREEING = 2
    UNSCORED = 3
    """No expert was awake: the policy alone decided."""


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A reference to a turn of `turns.v1` and to its verdict, which was published at `judged_at_ms`. `doubt` in [0, 1]
    is how much a label is likely to tell: the largest for those that nobody could score."""

    key: bytes
    tenant: str
    turn_id: str
    conversation_id: str
    partition: int
    offset: int
    verdict_partition: int
    verdict_offset: int
    judged_at_ms: int
    doubt: float
    why: Why

    def source(self, topic: str) -> Source:
        """What a label names as its turn's place."""
        return Source(topic, self.partition, self.offset)


class _Opinion(msgspec.Struct, gc=False):
    status: str
    score: float | None = None


class _Asking(msgspec.Struct, gc=False):
    """The few fields of a verdict that are read of all of them."""

    turn_id: str
    conversation_id: str
    tenant: str
    policy: str
    score: float | None
    experts: tuple[_Opinion, ...]
    source: Source
    ask_label: bool = True


_verdicts = msgspec.json.Decoder(_Asking)
_NOT_ASKED = b'"ask_label":false'


def key_of(tenant: str, turn_id: str) -> bytes:
    """The digest under which a turn is known here."""
    name = tenant.encode()
    return blake2b(len(name).to_bytes(4) + name + turn_id.encode(), digest_size=KEY_BYTES).digest()


def candidate_of(record: Any, topic: str, policies: Mapping[str, Policy]) -> Candidate | None:
    """The turn that a verdict (aiokafka's record) asks about; None if it asks for no label, cannot be read, or is of a
    turn of another topic than `topic`."""
    if record.value is None or _NOT_ASKED in record.value:
        return None
    asking = decoded(_verdicts, record.value)
    if isinstance(asking, Rejected) or not asking.ask_label or asking.source.topic != topic:
        return None
    awake = [one.score for one in asking.experts if one.status == "ok" and one.score is not None]
    doubt, why = judge(asking.score, awake, policies.get(asking.policy, PERMISSIVE))
    return Candidate(
        key_of(asking.tenant, asking.turn_id),
        intern(asking.tenant),
        asking.turn_id,
        asking.conversation_id,
        asking.source.partition,
        asking.source.offset,
        record.partition,
        record.offset,
        record.timestamp,
        doubt,
        why,
    )


def judge(score: float | None, awake: Sequence[float], policy: Policy) -> tuple[float, Why]:
    """(doubt, why) of a published score, and of the scores of the experts that had a vote."""
    if score is None or not awake or math.isnan(score):
        return 1.0, Why.UNSCORED
    spread = max(awake) - min(awake)
    distance = min(abs(score - threshold) for threshold in (policy.caution_at, policy.unsafe_at))
    closeness = max(0.0, 1.0 - distance / NEAR)
    why = Why.DISAGREEING if spread >= APART else Why.UNCERTAIN if closeness > 0.0 else Why.SAMPLED
    return max(spread, closeness / 2), why
