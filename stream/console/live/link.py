"""Whether the broker answers, since when, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["connecting", "up", "down", "no topics"]


@dataclass(slots=True)
class Link:
    """What is known of the connection; times in seconds since 1970. `filled`: what had been published before this
    console began was read."""

    address: str
    state: State = "connecting"
    since: float = 0.0
    reason: str = ""
    heard: float = 0.0
    filled: bool = False

    def up(self, now: float) -> None:
        """The broker answered."""
        self._become("up", now, "")
        self.heard = now

    def down(self, now: float, reason: str) -> None:
        """It did not, and why: one line."""
        self._become("down", now, reason)

    def without_topics(self, now: float, reason: str) -> None:
        """It answers, and has nothing to read."""
        self._become("no topics", now, reason)
        self.heard = now

    def _become(self, state: State, now: float, reason: str) -> None:
        if state != self.state:
            self.state, self.since = state, now
        self.reason = reason

    def told(self) -> dict[str, Any]:
        """For the page."""
        return {
            "address": self.address,
            "state": self.state,
            "since": round(self.since, 1),
            "reason": self.reason,
            "filled": self.filled,
        }
