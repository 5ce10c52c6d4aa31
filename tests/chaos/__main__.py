"""`make chaos`: runs of every scenario, then JSON and a page; exit code 1 when a promise was broken, 2 when the harness
was."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import click
import msgspec

from chaos.nemesis import Outcome, run_plan
from chaos.pieces import Piece, full, store_of
from chaos.plan import Deed
from chaos.report import Results, Run, render, run_of
from chaos.scenarios import MIX, PARTITIONS, SCENARIOS, everything
from chaos.stage import Stage, staged
from stream import topics_admin
from stream.errors import StreamError
from support.broker import Namespace, broker_for_tests, delete_namespace

CLIENTS = 3
"""Workers that have a network of their own: the most of any scenario that harms brokers."""


@click.command()
@click.option("--full", "whole", is_flag=True, help="The pieces that pass the bar: 100 kills, 100,000 turns and so on.")
@click.option("--scenario", "names", multiple=True, type=click.Choice(list(SCENARIOS)), help="Only these; none: all.")
@click.option("--store", type=click.Choice(["rocksdict", "memory"]), help="None: both in turn.")
@click.option("--seed", default=1, show_default=True, help="Of the first run; the others count on from it.")
@click.option("--runs", default=1, show_default=True, help="Of each scenario.")
@click.option("--turns", default=5000, show_default=True)
@click.option("--labels", default=2000, show_default=True)
@click.option(
    "--previous",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Source tree of another version, for `versions`: git worktree add PATH COMMIT makes one.",
)
@click.option(
    "--mix",
    "mixed",
    multiple=True,
    metavar="DEED=WEIGHT",
    help="How often each deed comes in `everything`, if not as usual.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md after each run.")
@click.option("--again", is_flag=True, help="Run also what passed in OUTPUT.json already.")
def main(
    whole: bool,
    names: tuple[str, ...],
    store: str | None,
    seed: int,
    runs: int,
    turns: int,
    labels: int,
    previous: Path | None,
    mixed: tuple[str, ...],
    output: Path | None,
    again: bool,
) -> None:
    """Harm workers, brokers and networks while turns and labels flow, and judge what the workers did.

    On the broker that AEGIS_TEST_BROKER names, else on an embedded one in a temporary folder; scenarios that harm
    brokers or networks start their own. Runs that passed are kept in OUTPUT.json and not run again; delete it to begin
    anew. The logs, the state and the topics of a run that found a problem are kept.

    \b
    Example:
      PYTHONPATH=tests python -m chaos --scenario storm --seed 7 --store memory
      PYTHONPATH=tests python -m chaos --scenario everything --mix kill=5 --mix "broker kill=2" --mix grow=1
      PYTHONPATH=tests python -m chaos --full --output deploy/benchmarks/chaos
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it would tell of every broker that is down on purpose
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that no process is left behind
    mix, again = _mix(mixed), again or bool(mixed)
    pieces = full(seed) if whole else _pieces(names, store, seed, runs, turns, labels)
    if whole and names:
        pieces = [piece for piece in pieces if piece.scenario in names]
    done = {} if output is None else _kept(output)
    settled = {piece for piece, run in done.items() if run.passed and not again and not (previous and run.left_out)}
    evidence = Path(tempfile.mkdtemp(prefix="aegis-chaos-"))
    tree = previous.resolve() if previous else None
    with Stages(evidence) as stages:
        for number, piece in enumerate(pieces, 1):
            place = f"[{number}/{len(pieces)}] {piece.scenario} seed {piece.seed} ({piece.store})"
            click.echo(f"{place} passed before" if piece in settled else f"{place} ...", err=True)
            if piece not in settled:
                outcome = asyncio.run(_run(stages, piece, mix, tree, evidence))
                click.echo(str(outcome), err=True)
                done[piece] = run_of(outcome)
                if output is not None:
                    _write(output, _results(done))
    if output is None:
        click.echo(render(_results(done)))
    _conclude(_results(done), evidence)


def _results(done: Mapping[Piece, Run]) -> Results:
    given = sys.argv[1:]
    said = ["PATH" if before == "--previous" else word for before, word in zip(["", *given], given, strict=False)]
    command = " ".join(["python -m chaos", *said])  # where a tree lies on this machine helps nobody
    return Results(f"{datetime.now(UTC):%Y-%m-%d}", command, len(os.sched_getaffinity(0)), tuple(done.values()))


def _pieces(names: tuple[str, ...], store: str | None, seed: int, runs: int, turns: int, labels: int) -> list[Piece]:
    return [
        Piece(name, seed + number, store or store_of(name, at + number), turns, labels)
        for number in range(runs)
        for at, name in enumerate(names or SCENARIOS)
    ]


def _mix(mixed: tuple[str, ...]) -> Mapping[Deed, float]:
    """Raises click.BadParameter for what is no deed of that scenario, or no number."""
    said = {deed: weight for deed, _, weight in (one.rpartition("=") for one in mixed)}
    try:
        if wrong := said.keys() - set(MIX):
            raise ValueError(f"{min(wrong)!r} is no deed of it")
        return {Deed(deed): float(weight) for deed, weight in said.items()} or MIX
    except ValueError as error:
        raise click.BadParameter(f"{error}: write DEED=WEIGHT, deeds are {', '.join(MIX)}") from error


def _kept(output: Path) -> dict[Piece, Run]:
    """What was run before."""
    file = output.with_suffix(".json")
    if not file.is_file():
        return {}
    try:
        return {run.piece: run for run in msgspec.json.decode(file.read_bytes(), type=Results).runs}
    except msgspec.DecodeError:
        click.echo(f"{file} was written by another version: everything is run anew", err=True)
        return {}


def _write(output: Path, results: Results) -> None:
    output.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    output.with_suffix(".md").write_text(render(results))


def _conclude(results: Results, evidence: Path) -> None:
    if all(run.passed for run in results.runs):
        shutil.rmtree(evidence)
        return
    broken = not any(run.problems for run in results.runs)
    said = "the harness failed" if broken else "promises were broken"
    click.echo(f"{said}; the evidence is in {evidence}", err=True)
    sys.exit(2 if broken else 1)


class Stages:
    """Brokers, started when a run first needs them and kept for the next: the shared one, and those that are harmed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._stages: dict[int, Stage] = {}

    def stage(self, nodes: int) -> Stage:
        """With so many brokers of its own; 0: the shared one."""
        if nodes not in self._stages:
            folder = self._folder / f"brokers-{nodes}"
            if nodes:
                self._stages[nodes] = self._open.enter_context(staged(folder, nodes, CLIENTS))
            else:
                self._stages[nodes] = Stage(self._open.enter_context(broker_for_tests(folder)))
        return self._stages[nodes]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._open.close()


async def _run(
    stages: Stages, piece: Piece, mix: Mapping[Deed, float], previous: Path | None, evidence: Path
) -> Outcome:
    plan = everything(piece.seed, mix=mix) if piece.scenario == "everything" else SCENARIOS[piece.scenario](piece.seed)
    try:
        stage = await asyncio.to_thread(stages.stage, plan.nodes)
    except (StreamError, OSError, AssertionError, subprocess.SubprocessError) as error:
        return Outcome(plan, piece.store, piece.turns, piece.labels, broken=[f"no broker: {error}"])
    await asyncio.to_thread(stage.repair)
    folder = evidence / f"{piece.scenario}-{piece.seed}-{piece.store}"
    namespace = Namespace.new()
    copies = max(1, plan.nodes)
    settings = namespace.settings(stage.broker, partitions=PARTITIONS, store=piece.store, replication_factor=copies)
    await topics_admin.create(settings)
    outcome = await run_plan(plan, settings, folder, piece.turns, piece.labels, stage, previous)
    if outcome.problems or outcome.broken:
        (folder / "outcome.txt").write_text(f"{outcome}\n{outcome.plan}\n" + "\n".join(map(str, outcome.faults)))
    else:
        await delete_namespace(stage.broker, namespace)
        shutil.rmtree(folder)
    return outcome


if __name__ == "__main__":
    main()
