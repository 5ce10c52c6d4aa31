"""`make bench-experts`: one model, the same texts, every contestant in every round; then JSON and a page."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from benchmarks.results import keep
from benchmarks.run import processor
from benchmarks.serving.protocol import GO, MARK
from benchmarks.serving.report import render
from benchmarks.serving.results import Results, Run
from benchmarks.serving.stage import DATA, ROOT, Stage, environment, prepare

TESTS = ROOT / "tests"
PACKAGES = ("aegis-stream", "onnxruntime-gpu", "tokenizers", "torch", "transformers")
AGREE = 1e-3
"""How far probabilities of two contestants may be apart; fp32 sums in another order differ by some 1e-6."""
TITLES = {
    "bare": "bare ONNX Runtime, ideal batches",
    "panel": "**this executor**",
    "infinity-torch": "infinity-emb, PyTorch (its default)",
    "infinity-onnx": "infinity-emb, ONNX Runtime",
    "pipeline": "transformers pipeline, batch 32",
}


class ContestantError(Exception):
    """A contestant did not do its work; one line."""


@dataclass
class Contestant:
    """A process that holds the model and waits to be asked."""

    key: str
    process: subprocess.Popen[str]
    errors: Path

    def ask(self) -> dict[str, Any]:
        """What it answers next. Raises ContestantError when it has ended."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return answer
        last = self.errors.read_text(errors="replace").strip().splitlines()[-1:]
        raise ContestantError(f"it ended with {''.join(last)[:200] or 'no word'}")

    def go(self, number: int) -> tuple[Run, list[float]]:
        """One round."""
        assert self.process.stdin is not None
        load = os.getloadavg()[0]
        self.process.stdin.write(f"{GO}\n")
        self.process.stdin.flush()
        answer = self.ask()
        scores: list[float] = answer["scores"]
        seconds, used = answer["seconds"], answer["processor"]
        return Run(self.key, number, seconds, len(scores) / seconds, 1000 * used / len(scores), load), scores


def commands(stage: Stage, infinity: Path | None) -> dict[str, list[str]]:
    """How each contestant is started."""
    module, texts = [sys.executable, "-m"], str(stage.texts)
    found = {
        "bare": [*module, "benchmarks.serving.bare", str(stage.expert), texts],
        "panel": [*module, "benchmarks.serving.panel", str(stage.expert), texts],
        "pipeline": [*module, "benchmarks.serving.pipeline", str(stage.pytorch), texts],
    }
    if infinity is not None:
        start = [str(infinity), "-m", "benchmarks.serving.infinity", str(stage.pytorch)]
        found["infinity-torch"] = [*start, "torch", texts]
        found["infinity-onnx"] = [*start, "optimum", texts]
    return {key: found[key] for key in TITLES if key in found}


@contextmanager
def started(key: str, command: Sequence[str], folder: Path) -> Iterator[Contestant]:
    errors = folder / f"{key}.err"
    # Nothing may be fetched, and no library may say how the others are measured.
    environ = os.environ | {"PYTHONPATH": str(TESTS), "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        try:
            yield Contestant(key, process, errors)
        finally:
            process.kill()


def race(
    found: dict[str, list[str]], folder: Path, rounds: int, progress: Progress
) -> tuple[list[Run], dict[str, list[float]], dict[str, str]]:
    """Every run, the probabilities by contestant, and why a contestant is missing."""
    runs, scores, missing = list[Run](), dict[str, list[float]](), dict[str, str]()
    task = progress.add_task("starting", total=len(found) * (rounds + 1))
    with ExitStack() as stack:
        ready: list[Contestant] = []
        for key, command in found.items():
            progress.update(task, description=f"{key} warms up")
            contestant = stack.enter_context(started(key, command, folder))
            try:
                contestant.ask()
                ready.append(contestant)
            except ContestantError as error:
                missing[key] = str(error)
            progress.advance(task)
        for number in range(rounds):
            first = number % len(ready)
            for contestant in (*ready[first:], *ready[:first]):
                progress.update(task, description=f"round {number + 1}: {contestant.key}")
                run, scores[contestant.key] = contestant.go(number)
                runs.append(run)
                progress.advance(task)
    return runs, scores, missing


def apart(scores: dict[str, list[float]]) -> float:
    """The largest difference to bare ONNX Runtime. Raises ContestantError if it is no rounding."""
    worst = 0.0
    for key, found in scores.items():
        most = max(abs(one - other) for one, other in zip(found, scores["bare"], strict=True))
        if not most < AGREE:
            raise ContestantError(f"{key} gives probabilities that are {most:.3g} from those of bare ONNX Runtime")
        worst = max(worst, most)
    return worst


@click.command()
@click.option("--texts", "count", default=1000, show_default=True, help="Texts that each contestant scores a round.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="A data.jsonl.gz with the texts.")
@click.option("--cache", type=click.Path(path_type=Path), default=ROOT / ".aegis" / "bench-infinity", show_default=True)
@click.option("--infinity/--no-infinity", default=True, show_default=True, help="It needs 6 GB in the cache.")
@click.option("--output", type=click.Path(path_type=Path), help="Write OUTPUT.json and OUTPUT.md; none: only show.")
def main(count: int, rounds: int, data: Path, cache: Path, infinity: bool, output: Path | None) -> None:
    """Texts per second of the experts' executor beside bare ONNX Runtime, infinity-emb and a transformers pipeline."""
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as name, Progress(console=Console(stderr=True)) as progress:
        folder = Path(name)
        task = progress.add_task("preparing the model", total=None)
        stage = prepare(folder, count, data if data.is_file() else None)
        progress.update(task, description="making infinity-emb's environment")
        python = environment(cache, Path(sys.executable).with_name("uv"), Path(sys.executable)) if infinity else None
        progress.remove_task(task)
        try:
            runs, scores, missing = race(commands(stage, python), folder, rounds, progress)
            results = _results(count, stage, tuple(runs), apart(scores), missing)
        except ContestantError as error:
            raise click.ClickException(str(error)) from error
    page = render(results, TITLES)
    click.echo(page)
    if output is not None:
        keep(output, results, page)


def _results(count: int, stage: Stage, runs: tuple[Run, ...], most: float, missing: dict[str, str]) -> Results:
    return Results(
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        command="make bench-experts",
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        texts=count,
        tokens=stage.tokens,
        apart=most,
        missing=missing,
        runs=runs,
    )


if __name__ == "__main__":
    main()
