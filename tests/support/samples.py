"""Harmless messages of every kind, as clients write them, and records of the state: what contracts are recorded from.

They hold every field that there is today. An older version ignores what it does not know; one that cannot read a sample
(an enum's value was not there yet) has no recording of it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

Json = dict[str, Any]


class Sample(NamedTuple):
    """A message of a topic, by the name of its struct."""

    record: str
    topic: str
    message: Json


AT: Final = "2026-03-01T12:00:00Z"
SOURCE: Final = {"topic": "aegis.turns.v1", "partition": 3, "offset": 1042}
IDS: Final = {"turn_id": "t-1", "conversation_id": "c-1"}
TURN: Final = {**IDS, "role": "user", "text": "How do I boil an egg?", "sent_at": AT}
LABEL: Final = {**IDS, "label": "safe", "annotator": "ann", "labelled_at": AT}
VERDICT: Final = {
    **IDS,
    "tenant": "default",
    "role": "user",
    "label": "safe",
    "score": 0.03125,
    "policy": "permissive",
    "categories": {},
    "experts": [
        {"name": "lexical", "version": "1", "score": 0.03125, "weight": 0.75, "status": "ok"},
        {"name": "risks", "version": "2", "score": None, "weight": 0.25, "status": "timeout"},
    ],
    "context": "default/user",
    "rounds": 0,
    "source": SOURCE,
    "scored_at": "2026-03-01T12:00:00.250000Z",
    "latency_ms": 12,
    "metadata": {},
}
STANDINGS: Final = [
    {"id": "lexical@1", "weight": 0.75, "loss": 1.5, "regret": -0.25},
    {"id": "risks@2", "weight": 0.25, "loss": 2.5, "regret": 0.0},
]
WEIGHTS: Final = {
    "context": "default/user",
    "policy": "permissive",
    "rounds": 12,
    "since_rounds": 2,
    "at": AT,
    "experts": STANDINGS,
    "ensemble_loss": 1.75,
    "bound": 4.5,
    "delay": 3.0,
    "alarm": False,
}
THRESHOLD: Final = {"score": 0.5, "low": 0.375, "high": 0.625, "calibrated": True}
REVOCATION: Final = {"kind": "revoke", "annotator": "ann", "tenant": None, "since": AT, "until": AT, "at": AT}

SAMPLES: Final = (
    Sample("Turn", "turns.v1", TURN),
    Sample(
        "Turn",
        "turns.v1",
        {
            **TURN,
            "turn_id": "ü-✓-2",
            "role": "assistant",
            "text": "Put it into boiling water.\nThen wait for 7 minutes. 好",
            "sent_at": "2026-03-01T13:00:00.123456+01:00",
            "tenant": "kitchen",
            "history": [
                {"role": "system", "text": "You are a cook."},
                {"role": "user", "text": "How do I boil an egg?"},
            ],
            "metadata": {"channel": "web", "locale": "de-DE"},
        },
    ),
    Sample(
        "Turn", "turns.v1", {**TURN, "role": "system", "text": "", "a_field_of_the_sender": {"of": ["any", "kind"]}}
    ),
    Sample("Label", "labels.v1", LABEL),
    Sample(
        "Label",
        "labels.v1",
        {**LABEL, "label": "needs_caution", "tenant": "kitchen", "categories": ["Violence"], "source": SOURCE},
    ),
    Sample("Label", "labels.v1", {**LABEL, "label": "unsafe", "labelled_at": "2026-03-01T13:00:00+01:00", "tool": "x"}),
    Sample("Verdict", "verdicts.v1", VERDICT),
    Sample(
        "Verdict",
        "verdicts.v1",
        {
            **VERDICT,
            "tenant": "kitchen",
            "role": "assistant",
            "label": "unsafe",
            "score": None,
            "experts": [
                {"name": "lexical", "version": "1", "score": None, "weight": 1.0, "status": "error"},
                {"name": "risks", "version": "2", "score": None, "weight": 0.0, "status": "abstained"},
            ],
        },
    ),
    Sample(
        "Verdict",
        "verdicts.v1",
        {
            **VERDICT,
            "label": "needs_caution",
            "score": 0.5625,
            "categories": {"Violence": 0.5, "Threat": 0.25},
            "experts": [
                {"name": "lexical", "version": "1", "score": 0.5625, "weight": 1.0, "status": "ok"},
                {"name": "risks", "version": "2", "score": 0.25, "weight": 0.0, "status": "shadow"},
            ],
            "rounds": 12,
            "metadata": {"channel": "web"},
            "ask_label": False,
            "ask_probability": 0.25,
        },
    ),
    Sample("Weights", "weights.v1", WEIGHTS),
    Sample(
        "Weights",
        "weights.v1",
        {
            **WEIGHTS,
            "bound": None,
            "alarm": True,
            "shadows": [{"id": "newcomer@1", "weight": 0.0, "loss": 0.5, "regret": 0.125}],
            "thresholds": {"caution": THRESHOLD, "unsafe": {**THRESHOLD, "calibrated": False}},
            "drift": [{"id": "ensemble", "half_life": 86400.0, "recent": 0.25, "long_run": 0.125}],
            "unasked_rounds": 3,
            "reported_loss": 2.25,
            "reported_losses": {"lexical@1": 2.0, "risks@2": 3.0},
        },
    ),
    *(Sample("ExpertMode", "experts.v1", {"mode": mode, "at": AT}) for mode in ("enabled", "shadow", "disabled")),
    Sample("Revocation", "requests.v1", REVOCATION),
    Sample("Revocation", "requests.v1", {**REVOCATION, "tenant": "kitchen", "undone": True}),
    Sample("Erasure", "requests.v1", {"kind": "forget", "tenant": "kitchen", "at": AT, "conversation_id": "c-1"}),
    Sample("Erasure", "requests.v1", {"kind": "forget", "tenant": "kitchen", "at": AT, "turn_id": "ü-✓-2"}),
    Sample(
        "Fulfilment",
        "requests.v1",
        {
            "kind": "fulfilled",
            "partition": 3,
            "through": {"0": 17},
            "counts": {'["forget", "kitchen", "turn", "t-1"]': 2},
            "at": AT,
            "limits": "5e1f00ba1155",
        },
    ),
)

PENDING: Final[Json] = {
    "version": 1,
    "scored_at_ms": 1_772_366_400_250,
    "digest": bytes(range(16)),
    "partition": 3,
    "offset": 1042,
    "latency_ms": 12,
    "context": "kitchen/user",
    "policy": "permissive",
    "label": 1,
    "experts": ("lexical@1", "risks@2"),
    "scores": bytes.fromhex("0000103f0000c07f"),
    "status": bytes((0, 1)),
    "weights": bytes.fromhex("0000403f0000803e"),
    "forecasts": bytes.fromhex("000000000000e23f"),
    "published": 0.5625,
    "rounds": 12,
    "used": 12.5,
    "categories": {"Violence": 0.5},
    "ask": 0.25,
    "votes": {"ann": (0, 1_772_370_000_000), "ben": (2, 1_772_370_000_001)},
    "asked": False,
    "beside": {"ann": ((1, 1_772_369_000_000),)},
    "learned": 2,
}
EARLY: Final[Json] = {
    "version": 1,
    "first_ms": 1_772_366_400_250,
    "due_ms": 1_772_366_401_250,
    "tries": 1,
    "timestamp_ms": 1_772_366_400_000,
    "key": b"c-1",
    "value": b'{"turn_id":"t-1"}',
    "beside": ((1, 2, None, b"{}"),),
    "replays": 1,
    "replayed": "3:7",
}
CONVERSATION: Final[Json] = {
    "version": 1,
    "written_ms": 1_772_366_400_250,
    "at_ms": 1_772_366_400_000,
    "size": 31,
    "offsets": (1041, 1042),
    "said": (("user", "How do I boil an egg?"), ("assistant", "In boiling water.")),
}
RECKONING: Final[Json] = {"version": 1, "through": {0: 17}, "limits": bytes(range(16))}
STATE: Final = {
    "Pending": (PENDING, {**PENDING, "published": None, "votes": {}, "asked": True, "beside": {}, "learned": -2}),
    "Early": (EARLY, {**EARLY, "key": None}),
    "Conversation": (CONVERSATION,),
    "Reckoning": (RECKONING,),
}
"""Records of a partition's state by the name of their struct, field by field."""
