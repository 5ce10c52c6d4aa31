"""The real worker, as `aegis worker` runs it: with the shipped experts, or with three that answer at once.
`worker.py PLAN shipped|instant DEVICE`."""

from __future__ import annotations

import sys

from benchmarks.contestants.worker import PANEL, settings
from benchmarks.plan import Plan
from experts.executor import Panel
from stream import logs
from stream.commands.worker import serve
from stream.panels import open_panel
from stream.settings import Settings


def settings_of(plan: Plan, experts: str, device: str) -> Settings:
    """The state is in memory; shipped experts read the turns before, too, which the worker keeps for them."""
    told = settings(plan, "memory")
    return told if experts == "instant" else told.model_copy(update={"conversations": "on", "device": device})


if __name__ == "__main__":
    logs.configure("warning", "console")
    chosen = settings_of(Plan.from_arguments(), *sys.argv[2:4])
    serve(chosen, Panel(PANEL) if sys.argv[2] == "instant" else open_panel(chosen))
