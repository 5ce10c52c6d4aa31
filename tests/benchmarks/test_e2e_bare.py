"""The bare session of the end-to-end benchmark does the same work as the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.e2e.bare import ROLE, BarePanel
from experts.base import OK, Passage
from experts.registry import ZOO
from stream.panels import open_panel
from stream.settings import Settings


@pytest.mark.slow
def test_the_bare_session_runs_the_experts_that_answer_a_users_turn(tmp_path: Path) -> None:
    panel = open_panel(Settings.load(data_dir=tmp_path))
    try:
        advice = panel.advise([Passage(ROLE, "How do I bake bread?")])
        awake = {expert.name for expert, status in zip(panel.experts, advice.status[0], strict=True) if status == OK}
    finally:
        panel.close()
    bare = BarePanel(ZOO)
    assert bare.experts == awake
    assert len(bare(["How do I bake bread?", "Hello", "!"])) == 3
