"""One turn explained: reads what is needed of the topics, and puts it together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from stream.explain.results import Explanation
from stream.records import Source
from stream.settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for besides the turn. `conversation_id` narrows the search to the partitions that its key can have,
    `source` to the partition and the time of the turn; `since` is how far back it goes. `labels`: also look for the
    labels that moved the weights since, which reads the state's changelog from the verdict on; `newest`: so many of
    them are told one by one. `text`: also the turn's text."""

    tenant: str | None = None
    conversation_id: str | None = None
    source: Source | None = None
    since: datetime | None = None
    policy: str | None = None
    labels: bool = True
    newest: int = 10
    text: bool = False


def untold(what: str, count: int) -> None:
    """For callers that show no progress."""


async def explain(
    settings: Settings, turn_id: str, wanted: Wanted = Wanted(), advance: Callable[[str, int], None] = untold
) -> Explanation:
    """Why this turn was labelled so, and what today's ensemble would say of it.

    `advance` is told how many records of a topic were read. Raises DataError, one line, when the turn has no verdict
    where it looked; TopicsError or BrokerError, one line, when it cannot look."""
    raise NotImplementedError
