"""The real worker: three experts that answer at once, everything else as in production.

ConstantExpert does no work for a turn, as the other contestants do none: what is left is the stream itself. The scores
differ, so that there is something to weigh. `worker.py PLAN memory|rocksdict [tell]`: with `tell` it logs which
partitions it has."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.plan import Plan
from experts.executor import Panel
from experts.fakes import ConstantExpert
from stream import logs
from stream.commands.worker import serve
from stream.settings import Settings

PANEL = (ConstantExpert(0.137, "first"), ConstantExpert(0.421, "second"), ConstantExpert(0.873, "third"))


def settings(plan: Plan, store: str) -> Settings:
    """A worker's settings under the plan's names; `store` is memory or rocksdict."""
    return Settings.load(
        broker=plan.broker,
        topic_prefix=plan.prefix,
        app_id=plan.app_id,
        partitions=plan.partitions,
        store=store,
        data_dir=Path(plan.folder),
        session_timeout=30.0,
        conversations="off",  # the others keep none
        log_level="warning",
    )


if __name__ == "__main__":
    logs.configure(*(("info", "json") if "tell" in sys.argv else ("warning", "console")))
    serve(settings(Plan.from_arguments(), sys.argv[2]), Panel(PANEL))
