"""The oracle's part on what is decided about labels: who is asked, where a label counts, and from which prior a context
is forecast. Told from pending records and `moments.v1` alone, by other code than the worker's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np

from experts.base import OK
from stream import projection
from stream.settings import Settings
from stream.state import Pending

SUFFIX: Final = "~unasked"
STORED: Final = 1e-5
"""Of a probability computed from weights and scores that are stored as float32."""


def learned_in(pending: Pending) -> str:
    """The key under which the labels of a turn are learned."""
    return pending.context if pending.asked else pending.context + SUFFIX


def importance(pending: Pending) -> float:
    """What one of its labels weighs there."""
    return 1.0 / pending.ask if pending.asked else 1.0


def ask_problems(settings: Settings, tenant: str, turn_id: str, pending: Pending) -> Iterator[str]:
    """Was the turn asked for with the probability that its policy says, and drawn as that says?"""
    if pending.asked != (_draw(tenant, turn_id, pending.offset) < pending.ask):
        yield f"asked={pending.asked} is not what was drawn"
    policy = settings.defined_policies()[pending.policy]
    differ = 1.0
    if pending.published is not None:
        awake = [status == OK for status in pending.status]
        rows = zip(np.frombuffer(pending.weights, "<f4"), np.frombuffer(pending.scores, "<f4"), awake, strict=True)
        differ = 4.0 * sum(float(w) * (float(p) - pending.published) ** 2 for w, p, heard in rows if heard)
    must = policy.ask + (policy.ask_unsure - policy.ask) * min(differ, 1.0)
    if abs(pending.ask - must) > STORED:
        yield f"was asked for with probability {pending.ask}, which must be {must}"


def _draw(tenant: str, turn_id: str, offset: int) -> float:
    """In [0, 1), the same whenever it is drawn."""
    name = tenant.encode()
    said = len(name).to_bytes(4, "big") + name + offset.to_bytes(8, "big", signed=True) + turn_id.encode()
    number = int.from_bytes(hashlib.blake2b(said, digest_size=8, person=b"aegis-ask").digest(), "big")
    return (number // 2**11) / 2**53


def prior_problems(moments: Iterable[Any], decided: Iterable[Pending]) -> Iterator[str]:
    """A context that was forecast from moments of its own has one prior, recorded and never changed."""
    recorded: dict[str, set[bytes]] = {}
    for record in moments:
        if record.key[:1] == projection.PRIOR:
            recorded.setdefault(record.key[1:].decode(), set()).add(record.value)
    yield from (f"the prior of {context} was changed" for context, values in recorded.items() if len(values) > 1)
    forecast = {pending.context for pending in decided if pending.used > 0.0}
    yield from (f"{context} was forecast from no recorded prior" for context in sorted(forecast - recorded.keys()))
