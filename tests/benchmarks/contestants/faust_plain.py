"""Faust as it comes: an agent over the turns, a table in memory with its changelog, and `await topic.send`.

It promises less than the worker: it decides nothing, keeps no order between changelog and verdict, and commits what it
has skipped (`stream/faust_app.py` says what the worker changes)."""

from __future__ import annotations

from typing import Any

import faust
import msgspec

from benchmarks.contestants.quix import TurnId
from benchmarks.plan import COMMIT_SECONDS, Plan


def app_of(plan: Plan) -> Any:
    """The application, with nothing set but what makes its work that of the others."""
    app = faust.App(
        plan.group,
        broker=f"kafka://{plan.broker}",
        store="memory://",
        datadir=plan.folder,
        topic_partitions=plan.partitions,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=COMMIT_SECONDS,
        web_enabled=False,
    )
    raw: dict[str, Any] = {"key_serializer": "raw", "value_serializer": "raw", "key_type": bytes, "value_type": bytes}
    turns, verdicts = app.topic(plan.turns, **raw), app.topic(plan.verdicts, **raw)
    state = app.Table("state", key_type=bytes, value_type=bytes, partitions=plan.partitions)
    read = msgspec.json.Decoder(TurnId).decode
    filler, verdict = plan.changelog_value, plan.verdict

    @app.agent(turns)
    async def decide(stream: Any) -> None:
        async for event in stream.events():
            state[read(event.value).turn_id.encode().ljust(plan.sizes.changelog_key, b"\0")] = filler
            await verdicts.send(key=event.key, value=verdict, partition=event.message.partition)

    return app


if __name__ == "__main__":
    plan = Plan.from_arguments()
    app = app_of(plan)
    worker = faust.Worker(app, loglevel="WARNING", redirect_stdouts=False)
    worker.execute_from_commandline()
