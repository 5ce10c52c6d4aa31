"""Who is asked, and where a label counts: the draw that decides whether people are asked to label a turn, and the class
of its labels. Pure.

Labels that nobody asked for (appeals, escalations) are learned in a record of their own beside that of their context:
the same sums under another key, so that the weight with which they count is decided whenever they are read, and a
policy that changes it needs no replay."""

from hashlib import blake2b
from struct import Struct as Packing

from msgspec.structs import replace

from ensemble.losses import cumulative
from ensemble.moments import Moments, align
from ensemble.policy import Policy
from ensemble.sampling import with_unasked
from ensemble.shadows import voters_of
from stream.records import Weights
from stream.state import Pending

UNASKED = "~unasked"
"""No context ends so: it ends with a slash and a role, whatever its tenant is called."""
_LENGTH = Packing(">I")
_OFFSET = Packing(">q")
_BITS = 53
"""Of the draw: as many as a float64 holds, so that it is below 1."""


def is_asked(tenant: str, turn_id: str, offset: int, probability: float) -> bool:
    """Whether a label of this turn is asked for: the same answer whenever and wherever it is drawn.

    It depends on where the turn stands, which no producer chooses, and on nothing that was said in it."""
    if probability >= 1.0:
        return True
    name = tenant.encode()
    seed = b"".join((_LENGTH.pack(len(name)), name, _OFFSET.pack(offset), turn_id.encode()))
    drawn = int.from_bytes(blake2b(seed, digest_size=8, person=b"aegis-ask").digest()) >> (64 - _BITS)
    return drawn < probability * 2.0**_BITS


def class_of(pending: Pending) -> str:
    """Under which key the labels of a turn are learned: its context, or the class of those nobody asked for."""
    return pending.context if pending.asked else unasked_of(pending.context)


def importance_of(pending: Pending) -> float:
    """q: 1 / probability where it is known."""
    return 1.0 / pending.ask if pending.asked else 1.0


def unasked_of(context: str) -> str:
    """The key of the labels of a context that nobody asked for."""
    return context + UNASKED


def is_unasked(key: str) -> bool:
    """Whether a key is that of labels that nobody asked for."""
    return key.endswith(UNASKED)


def context_of_class(key: str) -> str:
    """The context that a key belongs to."""
    return key.removesuffix(UNASKED)


def told_of_unasked(told: Weights, asked: Moments, unasked: Moments | None, policy: Policy) -> Weights:
    """What is published of a context, with the losses that it has when labels nobody asked for count as in reports."""
    if unasked is None or unasked.rounds == 0:
        return told
    both = with_unasked(asked, unasked, policy.unasked_reported)
    voters = voters_of(both.experts)
    losses = cumulative(align(both, voters).own, policy)
    return replace(
        told,
        unasked_rounds=unasked.rounds,
        reported_loss=float(cumulative(both.total[0], policy)),
        reported_losses=dict(zip(voters, losses.tolist(), strict=True)),
    )
