"""quixstreams with state: each turn's record set under its conversation's key (RocksDB and a changelog topic), and its
verdict sent on.

As it comes, but for the checkpoints: by count, so that none is left waiting at the end of the turns for a timer. It
promises less than the others: its outputs go before the changelog records of their checkpoint."""

from __future__ import annotations

import msgspec
from quixstreams import Application, State

from benchmarks.plan import Plan

CHECKPOINT_TURNS = 10_000
"""Turns between two checkpoints, and a divisor of the number of turns: about the worker's interval of 0.5 s."""
STATE_KEY_FRAMING = 3
"""Bytes that quixstreams puts around the ids in a state key: a separator and JSON's quotes."""


class TurnId(msgspec.Struct):
    """All that this contestant reads of a turn."""

    turn_id: str
    conversation_id: str


def main(plan: Plan) -> None:
    """Work until the process is ended."""
    application = Application(
        broker_address=plan.broker,
        consumer_group=plan.group,
        auto_offset_reset="earliest",
        commit_every=CHECKPOINT_TURNS,
        state_dir=plan.folder,
        loglevel="WARNING",
    )
    bytes_ = {"key_deserializer": "bytes", "value_deserializer": "bytes"}
    turns = application.topic(plan.turns, **bytes_)
    verdicts = application.topic(plan.verdicts, key_serializer="bytes", value_serializer="bytes")
    read = msgspec.json.Decoder(TurnId).decode
    filler = b"p" * (plan.sizes.changelog_key + plan.sizes.changelog_value)
    verdict = plan.verdict

    def decide(value: bytes, state: State) -> bytes:
        turn = read(value)
        taken = len(turn.turn_id) + len(turn.conversation_id) + STATE_KEY_FRAMING
        state.set_bytes(turn.turn_id, filler[taken:])
        return verdict

    application.dataframe(turns).apply(decide, stateful=True).to_topic(verdicts)
    application.run()


if __name__ == "__main__":
    main(Plan.from_arguments())
