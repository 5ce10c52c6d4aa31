"""The page of `make bench-console`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.console.made import ASKED
from benchmarks.console.results import BLOCKED_MS, FLAT, Results, Sample
from stream.console.live.reliability import MOST_ASKED


def render(results: Results) -> str:
    """Markdown."""
    samples = results.samples
    tasks = [task for sample in samples for task in sample.long_ms]
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    verdict = "kept" if results.kept else "NOT kept"
    late = sorted(sample.late_ms for sample in samples)
    lines = [
        "# The live page under load",
        "",
        f"`{results.command}` on {results.at}: {results.processor}, {results.cores} cores, shared with the broker, the"
        f" writer and whatever else ran (load average {results.load:.1f}); {versions}.",
        "",
        f"{results.contexts:,} contexts in `weights.v1`, {results.written:,} verdicts in {results.seconds:.0f} s"
        f" ({results.written / results.seconds:,.0f} a second), with labels, weights and dead letters besides. Headless"
        " Chromium had the page open; every 5 s somebody scrolled the list anywhere, opened a context and chose another"
        " range.",
        "",
        f"What is promised was **{verdict}**:",
        "",
        "| what | figure | promised |",
        "|---|---|---|",
        f"| longest task on the page's main thread, processor time | {results.spent_ms:.0f} ms | {BLOCKED_MS:.0f} ms |",
        f"| the same by the clock, which counts the wait for a core that others have | {_longest(results)} | |",
        f"| tasks over 50 ms by the clock | {len(tasks)} in {samples[-1].at:.0f} s | |",
        f"| the page's timer was late by at most (median, worst of 5 s) | {late[len(late) // 2]:.0f} ms,"
        f" {late[-1]:.0f} ms | |",
        f"| JavaScript heap, least of the last third | {_least(results):.1f} MB, {results.heap_ratio:.2f} of the second"
        f" third | {FLAT:.2f} |",
        f"| nodes in the document, last sample | {samples[-1].nodes:,} | |",
        f"| memory of the console, last sample | {samples[-1].console_mb:.0f} MB, last third"
        f" {results.console_ratio:.3f} of the second | {FLAT:.2f} |",
        f"| the console's processor time | {results.cpu:.0%} of a core | |",
        "",
        f"The console keeps up to {MOST_ASKED:,} turns that wait for a label, for calibration, and as many in its"
        f" review queue. At {ASKED * results.per_second:,.0f} a second both are full after"
        f" {MOST_ASKED / (ASKED * results.per_second) / 60:.0f} minutes: until then its memory grows.",
        "",
        "| minute | heap, MB (least) | console, MB | longest task, processor ms | by the clock, ms | timer late, ms |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *_minutes(samples)]) + "\n"


def _minutes(samples: Sequence[Sample]) -> Iterator[str]:
    """A row of each."""
    for minute in range(int(samples[-1].at // 60) + 1):
        part = [sample for sample in samples if minute * 60 <= sample.at < (minute + 1) * 60]
        if part:
            longest = max((task for sample in part for task in sample.long_ms), default=0.0)
            heap, console = min(sample.heap_mb for sample in part), part[-1].console_mb
            worst = max(sample.late_ms for sample in part)
            task = f"{longest:.0f}" if longest else "none over 50"
            spent = max(sample.spent_ms for sample in part)
            yield f"| {minute + 1} | {heap:.1f} | {console:.0f} | {spent:.0f} | {task} | {worst:.0f} |"


def _longest(results: Results) -> str:
    return f"{results.longest_ms:.0f} ms" if results.longest_ms else "none over 50 ms"


def _least(results: Results) -> float:
    third = max(1, len(results.samples) // 3)
    return min(sample.heap_mb for sample in results.samples[-third:])
