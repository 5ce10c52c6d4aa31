"""Who advises and who votes: the panel that is asked, and those of its experts whose advice decides nothing.

A change takes effect between two batches: `replace` says what comes next, and the next `advise` begins with it, so the
names stand still from a batch's questions to its decisions. Batches come one after the other, which the score
pipeline's `begin` sees to."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from experts.base import Advice, Passage
from experts.executor import Panel


@dataclass(frozen=True, slots=True)
class Line:
    """A panel, and the ids of those of its experts that are scored and learned about and do not vote."""

    panel: Panel
    shadows: frozenset[str] = frozenset()

    @property
    def voters(self) -> tuple[str, ...]:
        """The ids of those that vote, in the panel's order."""
        return tuple(expert for expert in self.panel.ids if expert not in self.shadows)


class Roster:
    """The line of the batch under way, and the one that follows it."""

    def __init__(self, panel: Panel, shadows: Collection[str] = ()) -> None:
        self._line = Line(panel, frozenset(shadows))
        self._next: Line | None = None
        self._retired: list[Panel] = []
        self._lock = threading.Lock()  # the event loop replaces, the experts' thread adopts

    @property
    def ids(self) -> tuple[str, ...]:
        """The experts of the last batch that was asked about: the columns of its advice."""
        return self._line.panel.ids

    @property
    def voters(self) -> tuple[str, ...]:
        """Those of `ids` that vote."""
        return self._line.voters

    @property
    def latest(self) -> Line:
        """What the next batch will be asked of."""
        with self._lock:
            return self._next or self._line

    def advise(self, passages: Sequence[Passage]) -> Advice:
        """As `Panel.advise`, by the newest line. Blocks while the experts compute."""
        self._adopt()
        return self._line.panel.advise(passages, self._line.shadows)

    @property
    def failure(self) -> str | None:
        """As `Panel.failure`, of the panel that is asked now."""
        return self._line.panel.failure

    @property
    def tokens(self) -> dict[str, int]:
        """As `Panel.tokens`, of the panel that is asked now."""
        return self._line.panel.tokens

    def replace(self, line: Line) -> None:
        """From the next batch on. A panel that is not in use any more is closed then."""
        with self._lock:
            if self._next is not None and self._next.panel is not line.panel:
                self._retired.append(self._next.panel)
            self._next = line

    def close(self) -> None:
        """End the experts' threads."""
        self._adopt()
        self._line.panel.close()

    def _adopt(self) -> None:
        with self._lock:
            coming, self._next = self._next, None
            if coming is None:
                return
            if coming.panel is not self._line.panel:
                self._retired.append(self._line.panel)
            self._line = coming
            retired, self._retired = [panel for panel in self._retired if panel is not coming.panel], []
        for panel in retired:
            panel.close()
