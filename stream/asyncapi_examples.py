"""Messages that the published contract shows: real records, so that none of them can be wrong."""

from datetime import UTC, datetime

import msgspec

from stream import records

_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_SCORED = datetime(2026, 3, 1, 12, 0, 0, 40_000, tzinfo=UTC)
_LATER = datetime(2026, 3, 1, 17, 30, tzinfo=UTC)
_SOURCE = records.Source("aegis.turns.v1", 3, 1042)
_CAUTION = records.Threshold(0.42, 0.35, 0.5, calibrated=True)
_UNSAFE = records.Threshold(0.9, 0.9, 0.9, calibrated=False)

EXAMPLES: dict[type[msgspec.Struct], tuple[tuple[str, msgspec.Struct], ...]] = {
    records.Turn: (
        (
            "The least that a turn has",
            records.Turn("7d0c", "chat-42", "user", "How do I boil an egg?", _AT),
        ),
        (
            "A reply, with what was said before it, of a tenant",
            records.Turn(
                "7d0d",
                "chat-42",
                "assistant",
                "Put it into boiling water for seven minutes.",
                _AT,
                tenant="kitchen",
                history=(records.Utterance("user", "How do I boil an egg?"),),
                metadata={"channel": "web"},
            ),
        ),
    ),
    records.Label: (
        ("The least that a label has", records.Label("7d0c", "chat-42", "safe", "ann", _LATER)),
        (
            "With the source of its verdict, which spares the search for the turn",
            records.Label(
                "7d0d", "chat-42", "needs_caution", "ben", _LATER, "kitchen", ("Criminal Planning",), _SOURCE
            ),
        ),
    ),
    records.Verdict: (
        (
            "Two experts answered, one was too slow",
            records.Verdict(
                "7d0c",
                "chat-42",
                "default",
                "user",
                "safe",
                0.03,
                "defensive",
                {},
                (
                    records.Opinion("defensive", "1", 0.04, 0.6, "ok"),
                    records.Opinion("lexical", "2", 0.01, 0.3, "ok"),
                    records.Opinion("replies", "1", None, 0.1, "timeout"),
                ),
                "default/user",
                1200,
                _SOURCE,
                _SCORED,
                40,
                {"channel": "web"},
                ask_label=False,
                ask_probability=0.05,
            ),
        ),
        (
            "Nobody answered: the policy fails closed",
            records.Verdict(
                "7d0d",
                "chat-42",
                "kitchen",
                "assistant",
                "unsafe",
                None,
                "defensive",
                {},
                (records.Opinion("defensive", "1", None, 1.0, "error"),),
                "kitchen/assistant",
                0,
                _SOURCE,
                _SCORED,
                40,
                {},
            ),
        ),
    ),
    records.Weights: (
        (
            "A context with 1,200 labelled turns",
            records.Weights(
                "default/user",
                "defensive",
                1200,
                0,
                _LATER,
                (
                    records.Standing("defensive@1", 0.7, 61.5, 1.2),
                    records.Standing("lexical@2", 0.3, 78.25, -15.55),
                ),
                62.7,
                24.4,
                310.0,
                alarm=False,
                thresholds=records.Thresholds(_CAUTION, _UNSAFE),
            ),
        ),
    ),
    records.ExpertMode: (("Scored and learned about, without a vote", records.ExpertMode("shadow", _LATER)),),
    records.Revocation: (
        ("All that an annotator said that day", records.Revocation("ann", None, _AT, _LATER, _LATER)),
    ),
    records.Erasure: (("The text of a conversation", records.Erasure("kitchen", _LATER, conversation_id="chat-42")),),
    records.Fulfilment: (
        (
            "Partition 3 is in line with the requests up to offset 17",
            records.Fulfilment(3, {0: 17}, {'["forget", "kitchen", "conversation", "chat-42"]': 2}, _LATER),
        ),
    ),
}
"""A summary and a record, some for each struct of the contract."""
