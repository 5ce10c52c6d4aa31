"""The shipped experts on a GPU: speed beside bare sessions of the same encoder, memory, and how far scores move.

`make gpu` runs it, with the tests that need a GPU; then JSON and a page."""

from __future__ import annotations

import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.e2e.stage import ENCODER, save
from benchmarks.gpu.contestant import LEXICAL, asked, panel
from benchmarks.gpu.report import PIPELINE, SERVED, TITLES, render
from benchmarks.gpu.results import Batches, Gpu, Results
from benchmarks.gpu.scores import scores_apart
from benchmarks.gpu.sessions import models, on_gpu
from benchmarks.results import keep
from benchmarks.run import processor
from benchmarks.serving.results import Run
from benchmarks.serving.run import ContestantError, started
from benchmarks.serving.stage import read
from experts.base import Passage
from experts.batching import CUDA_BUDGET, plan
from experts.registry import names
from experts.served import OnnxExpert

PACKAGES = ("aegis-stream", "onnxruntime-gpu", "tokenizers", "numpy", "torch", "transformers")
LONGEST = 4
"""Turns of the demonstration in a text, at most: their number is drawn, so that lengths differ as in traffic."""
SEED = 7
COMPARED = 600
"""Texts on which scores are compared."""
PIPELINE_TEXTS = 4000


def composed(count: int) -> list[str]:
    """`count` texts of one to four turns of the demonstration each; always the same."""
    draws, turns = random.Random(SEED), [text for text in read(None) if text.strip()]
    return [" ".join(draws.choices(turns, k=draws.randint(1, LONGEST))) for _ in range(count)]


def card(query: str) -> list[str]:
    """What the driver says of the first card. ClickException without one."""
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits", "--id=0"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise click.ClickException(f"nvidia-smi tells of no card ({error}): run this on a host with a GPU") from error
    return [part.strip() for part in said.split(",")]


def used_mib() -> int:
    return int(card("memory.used")[0])


def race(folder: Path, texts: list[str], rounds: int) -> tuple[list[Run], dict[str, str]]:
    """Every contestant in every round, the order turned by one each round, and why one is missing; a pass before them
    warms up.
    """
    runs, missing = list[Run](), dict[str, str]()
    with ExitStack() as stack:
        some = {key: save(texts[: _count(key, texts)], folder / f"{key}.json") for key in TITLES}
        command = [sys.executable, "-m", "benchmarks.gpu.contestant"]
        waiting = [stack.enter_context(started(key, [*command, key, str(path)], folder)) for key, path in some.items()]
        ready = []
        for each in waiting:
            say(f"{each.key} warms up")
            try:
                each.ask()
                ready.append(each)
            except ContestantError as error:
                missing[each.key] = str(error)
        for number in range(rounds):
            first = number % len(ready)
            for each in (*ready[first:], *ready[:first]):
                run, _ = each.go(number)
                say(f"round {number + 1}: {each.key}: {run.texts_per_s:,.0f} texts/s")
                runs.append(run)
    return runs, missing


def _count(key: str, texts: list[str]) -> int:
    return PIPELINE_TEXTS if key == PIPELINE else len(texts)


def batches(runners: dict[str, Callable[[dict[str, Any]], object]], feeds: list[Any], rounds: int) -> Iterator[Batches]:
    """Every session over the same batches, in turn; a round before them warms up."""
    rows = sum(len(each["input_ids"]) for each in feeds)
    for number in range(-1, rounds):
        for key, run in runners.items():
            taken = []
            for each in feeds:
                began = time.perf_counter()
                run(each)
                taken.append(time.perf_counter() - began)
            if number >= 0:
                p50, p99 = (1000 * float(value) for value in np.percentile(taken, (50, 99)))
                say(f"batches, {key}: {rows / sum(taken):,.0f} texts/s")
                yield Batches(key, number, rows / sum(taken), p50, p99)


def say(what: str) -> None:
    """A line of progress, on standard error."""
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {what}", err=True)


@click.command()
@click.option("--texts", "count", default=20_000, show_default=True, help="Texts of a round.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(count: int, rounds: int, output: Path | None) -> None:
    """Texts per second, milliseconds a batch, memory and scores of the shipped experts on a GPU."""
    texts, free = composed(count), used_mib()
    neural = [name for name in names() if name != LEXICAL]
    say("the panel is loaded")
    six = panel([*neural, LEXICAL])
    asked(six)(texts)
    used = used_mib() - free
    sessions = {precision: on_gpu(model) for precision, model in models(ENCODER).items()}
    trunk = next(expert.trunk for expert in six.experts if isinstance(expert, OnnxExpert))
    rows = trunk.encode([Passage("user", text) for text in texts])
    feeds = [trunk.feeds([rows[place] for place in batch]) for batch in plan([*map(len, rows)], CUDA_BUDGET)]
    runners: dict[str, Callable[[dict[str, Any]], object]] = {
        f"bare {precision}": partial(session.run, None) for precision, session in sessions.items()
    }
    timed = tuple(batches(runners | {SERVED: trunk.session.run}, feeds, rounds))
    say("scores are compared with those of the CPU")
    compared = [Passage(("user", "assistant")[place % 2], text) for place, text in enumerate(texts[:COMPARED])]
    apart = tuple(scores_apart(compared, neural, {f"GPU, {key}": session for key, session in sessions.items()}))
    six.close()
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        runs, missing = race(Path(folder), texts, rounds)
    name, driver, memory = card("name,driver_version,memory.total")
    results = Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command="make gpu",
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        versions={"Python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        gpu=Gpu(name, driver, int(memory), free, used),
        texts=len(texts),
        tokens=float(np.mean([*map(len, rows)])),
        missing=missing,
        apart=apart,
        batches=timed,
        runs=tuple(runs),
    )
    page = render(results)
    click.echo(page)
    if output is not None:
        keep(output, results, page)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


if __name__ == "__main__":
    main()
