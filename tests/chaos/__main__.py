"""`make chaos`: many runs of every scenario, then JSON and a page; exit code 1 when a promise was broken."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from chaos.nemesis import Outcome, run_plan
from chaos.plan import SCENARIOS
from chaos.report import Results, Run, render, run_of
from stream import topics_admin
from support.broker import Namespace, broker_for_tests, delete_namespace

PARTITIONS = 4
STORES = ("rocksdict", "memory")


@click.command()
@click.option("--scenario", "names", multiple=True, type=click.Choice(list(SCENARIOS)), help="Only these; none: all.")
@click.option(
    "--store", "stores", multiple=True, type=click.Choice(["rocksdict", "memory"]), help="None: both in turn."
)
@click.option("--seed", default=1, show_default=True, help="Of the first run; the others count on from it.")
@click.option("--runs", default=5, show_default=True, help="Of each scenario.")
@click.option("--turns", default=5000, show_default=True)
@click.option("--labels", default=2000, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(
    names: tuple[str, ...],
    stores: tuple[str, ...],
    seed: int,
    runs: int,
    turns: int,
    labels: int,
    output: Path | None,
) -> None:
    """Kill, pause, add and remove workers while turns and labels flow, and judge what they did.

    On the broker that AEGIS_TEST_BROKER names, else on an embedded one in a temporary folder. The logs, the state and
    the topics of a run that found a problem are kept.

    \b
    Example:
      PYTHONPATH=tests python -m chaos --scenario storm --seed 7 --runs 1 --store memory
    """
    evidence = Path(tempfile.mkdtemp(prefix="aegis-chaos-"))
    kinds = [(name, seed + number) for number in range(runs) for name in names or SCENARIOS]
    choice = stores or STORES
    with broker_for_tests(evidence / "broker") as broker:
        plan = [(name, number, choice[(number + at) % len(choice)]) for at, (name, number) in enumerate(kinds)]
        done = list(_runs(broker, plan, turns, labels, evidence))
    chosen = [f"--scenario {name} " for name in names] + [f"--store {store} " for store in stores]
    command = f"python -m chaos {''.join(chosen)}--seed {seed} --runs {runs} --turns {turns} --labels {labels}"
    results = Results(f"{datetime.now(UTC):%Y-%m-%d}", command, len(os.sched_getaffinity(0)), tuple(done))
    page = render(results)
    click.echo(page)
    if output is not None:
        output.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
        output.with_suffix(".md").write_text(page)
    if any(run.problems for run in done):
        raise click.ClickException(f"promises were broken; the evidence is in {evidence}")
    shutil.rmtree(evidence)


def _runs(broker: str, plan: list[tuple[str, int, str]], turns: int, labels: int, evidence: Path) -> Iterator[Run]:
    for name, seed, store in plan:
        folder = evidence / f"{name}-{seed}-{store}"
        outcome = asyncio.run(_run(broker, name, seed, store, turns, labels, folder))
        click.echo(str(outcome), err=True)
        if not outcome.problems:
            shutil.rmtree(folder)
        yield run_of(outcome)


async def _run(broker: str, name: str, seed: int, store: str, turns: int, labels: int, folder: Path) -> Outcome:
    namespace = Namespace.new()
    settings = namespace.settings(broker, partitions=PARTITIONS, store=store)
    await topics_admin.create(settings)
    outcome = await run_plan(SCENARIOS[name](seed), settings, folder, turns, labels)
    if not outcome.problems:
        await delete_namespace(broker, namespace)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
