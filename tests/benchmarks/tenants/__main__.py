"""`make bench-tenants`: what 10,000 tenants cost in `moments.v1`, in a worker's memory, and in time."""

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
import numpy as np

from benchmarks.results import keep
from benchmarks.run import processor
from benchmarks.tenants.filling import Filled, fill
from benchmarks.tenants.learning import learning
from benchmarks.tenants.made import EXPERTS, labels_of
from benchmarks.tenants.report import render
from benchmarks.tenants.results import Results, Topic
from benchmarks.tenants.viewing import Found
from stream import broker as embedded
from stream.settings import Settings
from stream.topics import TopicNames

PACKAGES = ("aegis-stream", "aiokafka", "numpy", "rocksdict")


@click.command()
@click.option("--tenants", default=10_000, show_default=True)
@click.option("--partitions", default=12, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(tenants: int, partitions: int, output: Path | None) -> None:
    """Sizes, memory and times with many tenants, on an embedded broker in a temporary folder, whose log files are
    measured too."""
    load = os.getloadavg()[0]
    learned = asyncio.run(learning())
    click.echo(f"learning: {learned}", err=True)
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as name:
        folder = Path(name) / "broker"
        running = embedded.start(folder, embedded.free_port())
        try:
            settings = Settings(broker=running.bootstrap, topic_prefix="bench.", app_id="bench", partitions=partitions)
            filled = asyncio.run(fill(settings, tenants))
            topic = _topic(filled, folder, TopicNames.of(settings).moments)
            click.echo(f"published: {topic}", err=True)
            found = _viewed(settings)
        finally:
            embedded.stop(folder)
    results = Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command="make bench-tenants",
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        load=load,
        versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        tenants=tenants,
        partitions=partitions,
        experts=len(EXPERTS),
        labels=sum(map(labels_of, range(1, tenants + 1))),
        topic=topic,
        view=found.view,
        forecasts=found.forecasts,
        publishing=found.publishing,
        learning=learned,
    )
    page = render(results)
    click.echo(page)
    if output is not None:
        keep(output, results, page)


def _topic(filled: Filled, folder: Path, name: str) -> Topic:
    logs = sum(file.stat().st_size for file in folder.rglob("*.log") if file.parent.name.startswith(f"{name}-"))
    small = float(np.mean(filled.small)) if filled.small else 0.0
    return Topic(len(filled.contexts), len(filled.sizes), len(filled.small), float(np.mean(filled.sizes)), small, logs)


def _viewed(settings: Settings) -> Found:
    """In a process that has done nothing else."""
    told = msgspec.json.encode(settings.model_dump(mode="json", exclude_defaults=True)).decode()
    command = [sys.executable, "-m", "benchmarks.tenants.viewing", told]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]
    return msgspec.json.decode(said, type=Found)


if __name__ == "__main__":
    main()
