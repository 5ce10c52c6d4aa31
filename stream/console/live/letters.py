"""Dead letters by their reason, and the newest of them by their place: never a word of what they say."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Final

from stream.letters import letter

NEWEST: Final = 60
"""Dead letters shown."""
MOST_REASONS: Final = 50
"""Reasons counted apart. The worker has twelve; anybody may write others."""
OTHERS: Final = "other reasons"
LONGEST: Final = 300
"""Characters of what is shown of one field."""


class Letters:
    """Since the console began to read, and the newest ones."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.newest: deque[dict[str, Any]] = deque(maxlen=NEWEST)
        self._last: dict[str, float] = {}

    def take(self, record: Any) -> None:
        """An aiokafka ConsumerRecord of the topic of dead letters."""
        told = letter(record)
        reason = told.reason[:LONGEST]
        if reason not in self.reasons and len(self.reasons) >= MOST_REASONS:
            reason = OTHERS
        self.reasons[reason] += 1
        at = told.at.timestamp()
        self._last[reason] = max(self._last.get(reason, 0.0), at)
        self.newest.append(
            {
                "reason": reason,
                "detail": told.detail[:LONGEST],
                "topic": told.topic[:LONGEST],
                "partition": told.partition,
                "offset": told.offset,
                "place": told.place,
                "bytes": told.size,
                "replays": told.replays,
                "at": at,
            }
        )

    def told(self) -> dict[str, Any]:
        """Counts by reason, the most frequent first, and the newest letters, the newest first."""
        newest = sorted(self.newest, key=lambda one: -one["at"])
        return {
            "reasons": [
                {"reason": reason, "count": count, "last": self._last[reason]}
                for reason, count in self.reasons.most_common()
            ],
            "newest": newest,
        }
