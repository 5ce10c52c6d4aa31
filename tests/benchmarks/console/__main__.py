"""`make bench-console`: the live page with 10,000 contexts and 1,000 verdicts a second; then JSON and a page."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click
import msgspec
from playwright.sync_api import Browser

from benchmarks.console.report import render
from benchmarks.console.results import Results, Sample
from benchmarks.console.watching import watch
from benchmarks.results import keep
from benchmarks.run import processor
from stream import topics_admin
from stream.settings import Settings
from support.broker import broker_for_tests
from support.browsing import ConsoleProcess, browsing

PACKAGES = ("aegis-stream", "aiokafka", "aiohttp", "msgspec")
STARTING = 20.0
"""Seconds of traffic before and after what is measured."""


@click.command()
@click.option("--minutes", default=10.0, show_default=True, type=click.FloatRange(min=0.5))
@click.option("--contexts", default=10_000, show_default=True)
@click.option("--per-second", default=1_000, show_default=True, help="Verdicts.")
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(minutes: float, contexts: int, per_second: int, output: Path | None) -> None:
    """Watch the page's main thread and both memories. Exit code 1 when what is promised was not kept."""
    with tempfile.TemporaryDirectory(prefix="aegis-console-") as name:
        folder = Path(name)
        with broker_for_tests(folder / "broker") as bootstrap:
            settings = Settings(broker=bootstrap, topic_prefix="bench.", app_id="bench", partitions=8)
            asyncio.run(topics_admin.create(settings))
            with browsing() as browser:
                samples, written, seconds = _run(settings, folder, browser, minutes, contexts, per_second)
                chromium = browser.version
    results = Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command=f"python -m benchmarks.console --minutes {minutes:g} --contexts {contexts} --per-second {per_second}",
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        versions={
            "Python": platform.python_version(),
            "Chromium": chromium,
            **{package: version(package) for package in PACKAGES},
        },
        load=os.getloadavg()[1],
        contexts=contexts,
        per_second=per_second,
        written=written,
        seconds=seconds,
        samples=tuple(samples),
    )
    page = render(results)
    click.echo(page)
    if output is not None:
        keep(output, results, page)
    if not results.kept:
        raise click.ClickException("what is promised was not kept: see above")


def _run(
    settings: Settings, folder: Path, browser: Browser, minutes: float, contexts: int, per_second: int
) -> tuple[list[Sample], int, float]:
    """Samples, and how many verdicts were written in how many seconds."""
    told = msgspec.json.encode(settings.model_dump(mode="json", exclude_defaults=True)).decode()
    seconds = minutes * 60.0 + 2 * STARTING
    arguments = (told, f"{seconds / 60.0}", str(per_second), str(contexts))
    command = [sys.executable, "-m", "benchmarks.console.writing", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == "filled\n", "the writer ended"
            with ConsoleProcess(settings, folder / "console.log") as console:
                samples = watch(browser, console.address, console.pid, minutes * 60.0, contexts)
                written = int(writer.stdout.readline())
        except BaseException:
            writer.kill()
            raise
    return samples, written, seconds


if __name__ == "__main__":
    main()
