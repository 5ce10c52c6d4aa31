"""`make bench-guard`: a guard whose instruction was read once, beside the same guard that reads it with every turn.

Both get the same random tokens in batches of their own best size, in turn, round by round. The scores must agree.
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from rich.console import Console
from rich.progress import Progress

from benchmarks.guard_model import PLANS, write_model
from experts.batching import CPU_BUDGET, CUDA_BUDGET, plan
from experts.guard import GuardSession
from experts.session import cores

GOAL: Final = 4.0
"""Times as many turns a second with the cached prompt as without, at an instruction of 400 tokens and turns of 60."""
AGREE: Final = {"fp32": 1e-4, "fp16": 5e-2, "int8-stored": 1e-4}
"""How far the verdicts' logits of the two may be apart; those of random weights are about 1."""
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Contestant:
    """What is asked, and the index of the instruction that the session has read before it."""

    rows: Sequence[Ids]
    instruction: int


def answers(session: GuardSession, contestant: Contestant) -> npt.NDArray[np.float32]:
    """The verdicts' logits, float32[N, 2], in batches as the worker makes them."""
    rows = contestant.rows
    result = np.empty((len(rows), 2), np.float32)
    for batch in plan([len(row) for row in rows], CUDA_BUDGET if session.device == "cuda" else CPU_BUDGET):
        ids = np.stack([rows[index] for index in batch])
        lengths = np.full(len(batch), ids.shape[1], np.int64)
        judged = np.full(len(batch), contestant.instruction, np.int64)
        result[batch] = session.answers({"input_ids": ids, "lengths": lengths, "judged": judged})[0]
    return result


def race(
    session: GuardSession, contestants: dict[str, Contestant], rounds: int, precision: str
) -> dict[str, list[float]]:
    """Turns a second of each, by round; a round before them warms up."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    found = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rounds", total=rounds + 1)
        for number in range(rounds + 1):
            for name in sorted(contestants, reverse=bool(number % 2)):
                began = time.perf_counter()
                found[name] = answers(session, contestants[name])
                if number:
                    rates[name].append(len(found[name]) / (time.perf_counter() - began))
            refuse_apart(found["cached"], found["uncached"], precision)
            progress.advance(task)
    return rates


def refuse_apart(cached: npt.NDArray[np.float32], uncached: npt.NDArray[np.float32], precision: str) -> None:
    """ClickException if the two guards do not say the same."""
    apart = float(np.abs(cached - uncached).max())
    if not apart <= AGREE[precision]:
        raise click.ClickException(f"the two guards differ by {apart:.1e}: the benchmark would mean nothing")


def page(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    r, ratios = results, results["ratios"]
    rows = [
        f"| {title} | {median(rates):.1f} ({min(rates):.1f} to {max(rates):.1f}) |"
        for title, rates in (("once", r["rates"]["cached"]), ("with every turn", r["rates"]["uncached"]))
    ]
    return f"""\
# A guard with its instruction cached

`{r["command"]}` on {r["day"]}: {r["machine"]}, {r["device"]}, ONNX Runtime {r["onnxruntime"]}.
A model of the shape `{r["shape"]}` ({r["parameters"] / 1e6:,.0f} million parameters, random weights, {r["precision"]});
an instruction of {r["instruction"]} tokens, {r["turns"]} turns of {r["tokens"]}; {len(ratios)} rounds, the two in turn.

| the instruction is read | turns/s, median (min to max) |
|---|---|
{chr(10).join(rows)}

Ratio within a round: {median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}).
At least {GOAL:.0f} with 400 tokens before turns of 60: {verdict(ratios)}.
The logits of the two agree to {AGREE[r["precision"]]:.0e}. To read the instruction takes {r["reading_s"]:.2f} s.
"""


def verdict(ratios: Sequence[float]) -> str:
    """Whether the goal was reached."""
    if min(ratios) >= GOAL:
        return "reached in every round"
    return "reached by the median, not in every round" if median(ratios) >= GOAL else "**not reached**"


def processor() -> str:
    """The processor's own name (Linux), else its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


@click.command()
@click.option("--shape", type=click.Choice(list(PLANS)), default="small", show_default=True)
@click.option("--precision", type=click.Choice(list(AGREE)), default="fp32", show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--instruction", type=click.IntRange(1), default=400, show_default=True, help="Tokens before each turn.")
@click.option("--tokens", type=click.IntRange(1), default=60, show_default=True, help="Of each turn.")
@click.option("--turns", type=click.IntRange(1), default=32, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write this name with .md and .json.")
def main(
    shape: str, precision: Any, device: Any, instruction: int, tokens: int, turns: int, rounds: int, output: Path | None
) -> None:
    """Measure what the cached instruction is worth.

    A 7B-shaped model in fp16 takes 14 GB of disk, twice that of memory while it loads, and a GPU of 24 GB:
    python -m benchmarks.guard --shape 7b --precision fp16 --device cuda
    """
    chance, chosen = np.random.default_rng(0), PLANS[shape]
    said = chance.integers(0, chosen.vocabulary, instruction)
    own = [chance.integers(0, chosen.vocabulary, tokens) for _ in range(turns)]
    with tempfile.TemporaryDirectory() as folder:
        files = write_model(Path(folder), chosen, precision)
    session = GuardSession(files, [said.tolist(), []], "the benchmark's guard", device)
    del files
    contestants = {"cached": Contestant(own, 0), "uncached": Contestant([np.append(said, row) for row in own], 1)}
    rates = race(session, contestants, rounds, precision)
    began = time.perf_counter()
    answers(session, Contestant([said], 1))
    results = {
        "command": f"python -m benchmarks.guard --shape {shape} --precision {precision} --device {session.device}",
        "day": datetime.now(UTC).date().isoformat(),
        "machine": f"{processor()}, {cores()} cores",
        "device": session.device,
        "onnxruntime": ort.__version__,
        "shape": shape,
        "parameters": chosen.parameters(),
        "precision": precision,
        "instruction": instruction,
        "tokens": tokens,
        "turns": turns,
        "reading_s": time.perf_counter() - began,
        "rates": rates,
        "ratios": [once / always for once, always in zip(rates["cached"], rates["uncached"], strict=True)],
    }
    text = page(results)
    click.echo(text)
    if output is not None:
        output.with_suffix(".md").write_text(text, encoding="utf-8")
        output.with_suffix(".json").write_text(f"{json.dumps(results, indent=2)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
