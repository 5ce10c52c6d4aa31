"""`make bench-gateway`: texts per second and latency over HTTP, by way of the topics and at once; JSON and a page."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import aiohttp
import click

from benchmarks.e2e.report import percentile
from benchmarks.gateway.report import render
from benchmarks.gateway.results import Results, Run
from benchmarks.results import keep
from benchmarks.run import broker, processor
from stream import topics_admin
from stream.gateway.shapes import Way
from support.broker import Namespace, delete_namespace
from support.gateway import gateway
from support.worker_process import REAL, WorkerProcess

PACKAGES = ("aegis-stream", "aiohttp", "aiokafka", "uvloop", "onnxruntime-gpu")
KINDS: tuple[tuple[Way, int, int], ...] = tuple(
    (way, callers, texts) for way in ("topics", "direct") for callers, texts in ((1, 1), (32, 1), (4, 64))
)
"""Way, callers at a time, and texts of a request: alone, many, and in batches."""
WARM_SECONDS = 2.0


@contextmanager
def serving() -> Iterator[str]:
    """The address of a gateway that serves both ways, beside a worker."""
    with broker() as (bootstrap, folder):
        namespace = Namespace.new()
        one = {"data_dir": folder / "state", "partitions": 4, "experts": "lexical", "device": "cpu"}
        settings = namespace.settings(bootstrap, **one)
        asyncio.run(topics_admin.create(settings))
        try:
            with WorkerProcess(settings, folder / "worker.log", REAL) as worker:
                worker.ready()
                unbounded = ("--mode", "either", "--rate", "1e9", "--burst", "1000000000", "--waiting", "100000")
                with gateway(settings, folder / "gateway.log", *unbounded) as running:
                    yield running.address()
        finally:
            asyncio.run(delete_namespace(bootstrap, namespace))


async def measure(address: str, kind: tuple[Way, int, int], number: int, seconds: float) -> Run:
    """One load. Raises aiohttp.ClientResponseError when a request is not answered with verdicts."""
    way, callers, texts = kind
    load, times = os.getloadavg()[0], list[float]()
    began = time.perf_counter()

    async def call(session: aiohttp.ClientSession, who: int) -> None:
        sent = 0
        while time.perf_counter() - began < seconds:
            sent += 1
            inputs = [f"How do I bake bread, question {sent} of {who}, part {part}?" for part in range(texts)]
            body, asked = {"input": inputs, "aegis": {"mode": way}}, time.perf_counter()
            async with session.post(f"{address}/v1/moderations", json=body) as answer:
                answer.raise_for_status()
                await answer.read()
            times.append(1000 * (time.perf_counter() - asked))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        for who in range(callers):
            group.create_task(call(session, who))
    took = time.perf_counter() - began
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    return Run(way, callers, texts, number, len(times), texts * len(times) / took, p50, p99, load)


async def rounds(address: str, count: int, seconds: float) -> list[Run]:
    """Every load in every round, the order turned by one each round."""
    for kind in KINDS:
        await measure(address, kind, 0, WARM_SECONDS)
    runs: list[Run] = []
    for number in range(count):
        first = number % len(KINDS)
        for kind in (*KINDS[first:], *KINDS[:first]):
            run = await measure(address, kind, number, seconds)
            click.echo(f"{number} {run.way}, {run.callers} callers: {run.texts_per_s:,.0f} texts/s", err=True)
            runs.append(run)
    return sorted(runs, key=lambda run: KINDS.index((run.way, run.callers, run.texts)))


@click.command()
@click.option("--rounds", "count", default=3, show_default=True)
@click.option("--seconds", default=8.0, show_default=True, help="Of each load.")
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(count: int, seconds: float, output: Path | None) -> None:
    """Texts per second and latency of `aegis gateway`, by way of the topics and at once.

    On the broker that AEGIS_BROKER names, else on an embedded one in a temporary folder.
    """
    with serving() as address:
        runs = asyncio.run(rounds(address, count, seconds))
    results = Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command="make bench-gateway",
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        seconds=seconds,
        runs=tuple(runs),
    )
    page = render(results)
    click.echo(page)
    if output is not None:
        keep(output, results, page)


if __name__ == "__main__":
    main()
