"""`make bench-hostile`: a million malformed or hostile messages among good turns; then JSON and a page."""

from __future__ import annotations

import os
import platform
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from benchmarks.hostile.report import flat, render
from benchmarks.hostile.results import Results
from benchmarks.hostile.run import PARTITIONS, Hostile, Outcome, memory
from benchmarks.results import keep
from benchmarks.run import processor
from support.broker import broker_for_tests

PACKAGES = ("aegis-stream", "faust-streaming", "aiokafka", "msgspec", "confluent-kafka", "rocksdict")

SAMPLES_KEPT = 200
"""In the JSON: enough for a curve."""


@click.command()
@click.option("--good", default=100_000, show_default=True, help="Good turns.")
@click.option("--bad", default=1_000_000, show_default=True, help="Malformed or hostile messages.")
@click.option("--seed", default=1, show_default=True)
@click.option("--store", default="rocksdict", type=click.Choice(["rocksdict", "memory"]), show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(good: int, bad: int, seed: int, store: str, output: Path | None) -> None:
    """Judge good turns among hostile messages, and check every record that came of them.

    On the broker that AEGIS_TEST_BROKER names, else on an embedded one in a temporary folder. Exit code 1 when a
    promise was broken or memory grew.
    """
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="aegis-hostile-") as name:
        folder = Path(name)
        with broker_for_tests(folder / "broker") as bootstrap:
            outcome = Hostile(bootstrap, folder, store).run(seed, good, bad)
    command = f"python -m benchmarks.hostile --good {good} --bad {bad} --seed {seed} --store {store}"
    results = _results(outcome, command, load, seed, good, bad, store)
    page = render(results)
    click.echo(page)
    for line in results.examples:
        click.echo(line, err=True)
    if output is not None:
        keep(output, results, page)
    if results.problems or not flat(results):
        raise click.ClickException("a promise was broken: see above")


def _results(outcome: Outcome, command: str, load: float, seed: int, good: int, bad: int, store: str) -> Results:
    ledger = outcome.ledger
    return Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command=command,
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        load=load,
        seed=seed,
        good=good,
        bad=bad,
        messages=ledger.messages,
        megabytes=outcome.size / 1e6,
        partitions=PARTITIONS,
        store=store,
        kinds=dict(ledger.kinds),
        becomes=dict(ledger.becomes),
        seconds=outcome.seconds,
        cpu_us=outcome.cpu_us,
        longest_stand=outcome.longest_stand,
        memory=memory(outcome.samples, ledger.messages),
        samples=tuple(outcome.samples[:: 1 + len(outcome.samples) // SAMPLES_KEPT]),
        problems=dict(ledger.problems.counts),
        examples=tuple(ledger.problems.lines),
    )


if __name__ == "__main__":
    main()
