"""From measured figures to a page of Markdown. Pure: no clock, no broker."""

from __future__ import annotations

from benchmarks.tenants.made import LARGEST, LEAST, SMALL
from benchmarks.tenants.results import Results

GOALS = {"caught up, s": 60.0, "RSS, MB": 1_000.0, "warm, µs": 100.0, "cold, µs": 1_000.0, "blocked, ms": 50.0}


def render(found: Results) -> str:
    topic, view, said = found.topic, found.view, found.forecasts
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    rows = [
        ("contexts (tenant and role) that have learned", f"{topic.contexts:,}"),
        ("parts (of a context in a partition)", f"{topic.parts:,} of {topic.contexts * found.partitions:,}"),
        ("a part as a record, before the batch is compressed", _kb(topic.value_bytes)),
        (f"the same, of tenants with up to {SMALL} labels", _kb(topic.small_value_bytes)),
        ("a part in `moments.v1`, gzip", _kb(topic.log_bytes / topic.parts)),
        ("`moments.v1`, all partitions", _mb(topic.log_bytes)),
        ("a part in a worker's memory, packed", _kb(view.packed_bytes)),
        (f"the same, of tenants with up to {SMALL} labels", _kb(view.small_packed_bytes)),
        ("a worker's memory: before, caught up", f"{_mb(view.rss_before)}, {_mb(view.rss_caught_up)}"),
        ("the same when every context was forecast once", _mb(view.rss_used)),
        ("to catch up from the broker", f"{view.seconds:.1f} s ({view.cpu_s:.1f} s CPU)"),
        ("to add all parts to the sums of their roles", f"{view.parents_cpu_s:.1f} s CPU"),
        ("to take one changed part in", f"{said.take_us:.0f} µs"),
        ("a forecast in one context: warm, just changed", f"{said.one_warm_us:.0f} µs, {said.one_cold_us:.0f} µs"),
        (
            "256 turns in 256 contexts, from advice to decisions: warm, just changed",
            f"{said.many_warm_ms:.0f} ms, {said.many_cold_ms:.0f} ms",
        ),
        ("one context said in `weights.v1`", f"{found.publishing.context_us:.0f} µs"),
        ("all of them, when the owner changes", f"{found.publishing.all_minutes:.1f} minutes"),
        (
            "a label where each is of another context",
            f"{found.learning.label_us:.0f} µs, {found.learning.changelog_bytes:,.0f} bytes of changelog",
        ),
        ("the loop was blocked at most, in ms of CPU", _blocked(found)),
    ]
    lines = [
        "# Many tenants",
        "",
        f"`{found.command}` on {found.at}: {found.processor}, {found.cores} cores, shared with whatever else",
        f"ran (load average {found.load:.1f}); {versions}.",
        f"{found.tenants:,} tenants of three roles, {found.partitions} partitions, {found.experts} experts,"
        f" {found.labels:,} labels: the largest tenant has {LARGEST:,}, the one of rank r that many divided by r, and"
        f" at least {LEAST}.",
        "",
        "| what | measured |",
        "|---|---|",
        *(f"| {what} | {value} |" for what, value in rows),
        "",
        *(f"- {name}, below {GOALS[name]:,.0f}: {_judged(value, GOALS[name])}." for name, value in _goals(found)),
    ]
    return "\n".join(lines) + "\n"


def _goals(found: Results) -> list[tuple[str, float]]:
    values = (
        found.view.seconds,
        found.view.rss_used / 1e6,
        found.forecasts.one_warm_us,
        found.forecasts.one_cold_us,
        max(blocked for _, blocked in _blocks(found)),
    )
    return list(zip(GOALS, values, strict=True))


def _blocks(found: Results) -> list[tuple[str, float]]:
    return [
        ("catching up", found.view.blocked_ms),
        ("summing roles", found.view.parents_blocked_ms),
        ("deciding", found.forecasts.many_blocked_ms),
        ("saying weights", found.publishing.blocked_ms),
        ("learning", found.learning.blocked_ms),
    ]


def _blocked(found: Results) -> str:
    return ", ".join(f"{what} {value:.0f}" for what, value in _blocks(found))


def _judged(value: float, goal: float) -> str:
    return f"reached ({value:,.0f})" if value < goal else f"**not reached** ({value:,.0f})"


def _kb(size: float) -> str:
    return f"{size / 1e3:.1f} kB"


def _mb(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"
