"""A panel is changed between two batches, and what is not asked any more ends."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from experts.base import Opinion, Passage, Scores
from experts.errors import PanelError
from experts.executor import Panel
from experts.fakes import ConstantExpert, SlowExpert
from experts.taxonomy import INDEX, RISKS
from stream.roster import Line, Roster

FIRST, SECOND, THIRD = (ConstantExpert(score, name) for score, name in ((0.1, "a"), (0.2, "b"), (0.3, "c")))
ASKED = [Passage("user", "Hello")]


class RiskExpert(ConstantExpert):
    """Says one probability of every risk, too."""

    def opine(self, passages: list[Passage]) -> Opinion:
        shape = (len(passages), len(RISKS))
        return Opinion(self.advise(passages), np.full(shape, self.score, np.float32))


def test_the_names_stand_still_until_the_next_batch_is_asked_about() -> None:
    panel = Panel([FIRST, SECOND])
    roster = Roster(panel)
    roster.advise(ASKED)
    roster.replace(Line(panel.reshaped([SECOND, THIRD]), frozenset({"c@1"})))
    assert (roster.ids, roster.voters) == (("a@1", "b@1"), ("a@1", "b@1"))
    assert roster.latest.voters == ("b@1",)
    assert roster.advise(ASKED).scores[0].tolist() == pytest.approx([0.2, 0.3])
    assert (roster.ids, roster.voters) == (("b@1", "c@1"), ("b@1",))
    roster.close()


def test_a_batch_under_way_ends_with_the_experts_that_it_began_with() -> None:
    slow = SlowExpert()
    panel = Panel([FIRST, slow])
    roster = Roster(panel)
    answers: list[Scores] = []
    asking = threading.Thread(target=lambda: answers.append(roster.advise(ASKED).scores))
    asking.start()
    assert slow.entered.wait(30)
    roster.replace(Line(panel.reshaped([FIRST])))
    slow.release.set()
    asking.join(30)
    assert (answers[0].shape, roster.ids) == ((1, 2), ("a@1", "slow@1"))
    assert roster.advise(ASKED).scores.shape == (1, 1)
    roster.close()


def test_panels_that_are_not_asked_any_more_are_closed_also_one_that_never_was() -> None:
    first = Panel([FIRST])
    second = first.reshaped([FIRST, SECOND])
    roster = Roster(first)
    roster.replace(Line(second))
    roster.replace(Line(third := second.reshaped([SECOND, THIRD])))
    roster.advise(ASKED)
    for panel in (first, second):
        with pytest.raises(PanelError, match="closed"):
            panel.advise(ASKED)
    assert third.advise(ASKED).scores.shape == (1, 2)
    roster.close()
    with pytest.raises(PanelError, match="closed"):
        third.advise(ASKED)


def test_a_line_of_the_same_panel_with_other_shadows_keeps_it_open() -> None:
    panel = Panel([FIRST, SECOND])
    roster = Roster(panel)
    roster.replace(Line(panel, frozenset({"a@1"})))
    roster.replace(Line(panel, frozenset({"b@1"})))
    assert roster.advise(ASKED).scores.shape == (1, 2)
    assert roster.voters == ("a@1",)
    roster.close()


def test_a_shadow_has_no_part_in_the_risks_that_are_told() -> None:
    panel = Panel([RiskExpert(0.2, "a"), RiskExpert(0.8, "b")])
    roster = Roster(panel)
    assert roster.advise(ASKED).risks == pytest.approx(np.full((1, len(RISKS)), 0.5))
    roster.replace(Line(panel, frozenset({"b@1"})))
    told = roster.advise(ASKED).risks
    assert told is not None
    assert told[0, INDEX["violence"]] == pytest.approx(0.2)
    roster.close()
