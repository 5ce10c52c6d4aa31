"""What was measured of many tenants, as it is kept in JSON. CPU is that of one process."""

from __future__ import annotations

from msgspec import Struct


class Topic(Struct, frozen=True):
    """What an owner of all partitions has published."""

    contexts: int
    parts: int
    small_parts: int
    """Parts of tenants with at most SMALL labels."""
    value_bytes: float
    """Of a record, mean."""
    small_value_bytes: float
    log_bytes: int
    """Of the partitions' log files, as the broker keeps them."""


class View(Struct, frozen=True):
    """A worker that starts: it reads all of it."""

    seconds: float
    cpu_s: float
    rss_before: int
    rss_caught_up: int
    """Bytes."""
    packed_bytes: float
    """Of a part in memory, mean."""
    small_packed_bytes: float
    blocked_ms: float
    """The longest that the loop did nothing else, in CPU time."""
    parents_cpu_s: float
    """To add all parts to the sums of their roles, afterwards."""
    parents_blocked_ms: float
    rss_used: int
    """Bytes when every context has been forecast once."""


class Forecasts(Struct, frozen=True):
    """Of one turn in one context, and of MANY turns in as many contexts from advice to pending records. Cold: a part of
    the context has just changed."""

    one_warm_us: float
    one_cold_us: float
    many_warm_ms: float
    many_cold_ms: float
    many_blocked_ms: float
    """The longest that the loop did nothing else while the MANY were decided cold."""
    take_us: float
    """To take one changed part in."""


class Publishing(Struct, frozen=True):
    """What the owner of partition 0 says of contexts in `weights.v1`."""

    contexts: int
    context_us: float
    blocked_ms: float
    all_minutes: float
    """For all contexts, in the share of its time that it gives them."""


class Learning(Struct, frozen=True):
    """Labels of which each is of another context."""

    labels: int
    label_us: float
    changelog_bytes: float
    """Key and value of pending record and moments, for a label."""
    blocked_ms: float


class Results(Struct, frozen=True):
    """One run."""

    at: str
    command: str
    processor: str
    cores: int
    load: float
    versions: dict[str, str]
    tenants: int
    partitions: int
    experts: int
    labels: int
    topic: Topic
    view: View
    forecasts: Forecasts
    publishing: Publishing
    learning: Learning
