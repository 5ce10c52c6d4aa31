"""What the page and the console cost while it runs: sampled in the page, and from the processes."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page

from benchmarks.console.results import Sample

EVERY: Final = 5.0
"""Seconds between two samples, and between two things that a reader does."""
LAG_MS: Final = 25
"""Between two looks at how late the page's own timer is."""
PROBE: Final = """
(every) => {
  window.watched = { long: [], late: 0 };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.watched.long.push(Math.round(entry.duration));
  }).observe({ type: "longtask", buffered: false });
  let due = performance.now() + every;
  const look = () => {
    const now = performance.now();
    window.watched.late = Math.max(window.watched.late, now - due);
    due = now + every;
    setTimeout(look, every);
  };
  setTimeout(look, every);
}
"""
TASK: Final = "ThreadControllerImpl::RunTask"
TAKE: Final = "() => { const taken = window.watched; window.watched = {long: [], late: 0}; return taken; }"
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def watch(browser: Browser, address: str, console: int, seconds: float, contexts: int) -> list[Sample]:
    """Open the page and use it as a reader does, for so long; a sample every few seconds. `console`: its process."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}/")
    page.wait_for_function(
        "count => Number(document.querySelector('[role=grid]').getAttribute('aria-rowcount')) > count",
        arg=contexts,
        timeout=120_000,
    )
    session = page.context.new_cdp_session(page)
    page.wait_for_timeout(5_000)  # what had been published before is read by then: what runs on is what is measured
    page.evaluate(PROBE, LAG_MS)
    rng, samples, began = random.Random(1), list[Sample](), time.monotonic()
    spent = _seconds_of(console)
    while (now := time.monotonic() - began) < seconds:
        browser.start_tracing(page=page, categories=["toplevel"])
        _use(page, rng, contexts)
        page.wait_for_timeout(EVERY * 1000)
        spent_ms = longest(browser.stop_tracing())
        taken = page.evaluate(TAKE)
        heap = session.send("Runtime.getHeapUsage")["usedSize"]
        used = _seconds_of(console)
        later = time.monotonic() - began
        samples.append(
            Sample(
                at=later,
                heap_mb=heap / 1e6,
                console_mb=_resident(console) / 1e6,
                console_cpu=(used - spent) / (later - now),
                long_ms=tuple(taken["long"]),
                spent_ms=spent_ms,
                late_ms=taken["late"],
                nodes=page.evaluate("document.querySelectorAll('*').length"),
            )
        )
        spent = used
    page.close()
    return samples


def longest(trace: bytes) -> float:
    """Milliseconds of processor time that the longest task on a page's main thread took, in a trace of Chromium's."""
    events = json.loads(trace)["traceEvents"]
    named = [event for event in events if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"]
    threads = {(event["pid"], event["tid"]) for event in named}
    tasks = [event for event in events if event["name"] == TASK and (event["pid"], event["tid"]) in threads]
    return float(max(task.get("tdur", 0) for task in tasks)) / 1000.0


def _use(page: Page, rng: random.Random, contexts: int) -> None:
    """Scroll the list anywhere, open a context there, choose another time to be shown."""
    page.evaluate("y => { document.querySelector('[role=grid]').scrollTop = y }", rng.randrange(contexts) * 34)
    page.wait_for_timeout(300)
    page.evaluate("document.querySelector('#rows .space [role=row]:nth-child(6)')?.click()")
    page.evaluate(f"document.querySelector('#range button:nth-child({rng.randint(1, 3)})').click()")
    page.evaluate("y => scrollTo(0, y)", rng.choice((0, 0, 600, 1200)))


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def _seconds_of(pid: int) -> float:
    """Processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
