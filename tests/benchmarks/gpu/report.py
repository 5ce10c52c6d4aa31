"""From measured runs on a GPU to a page of Markdown. Pure: no clock, no device."""

from __future__ import annotations

from benchmarks.gpu.results import Apart, Batches, Results
from benchmarks.report import judged, ratios_of, spread, where
from benchmarks.serving.results import Run

BARE, OURS, FIVE, SERVED, PIPELINE = "bare fp16", "six", "five", "served fp16", "pipeline"
GOAL = 0.9
"""Of the bare session's rate: the least that the panel may reach."""
TITLES = {
    "bare fp32": "bare ONNX Runtime, the encoder alone, fp32 (TF32)",
    BARE: "bare ONNX Runtime, the encoder alone, fp16",
    FIVE: "**panel**, the five experts on that encoder",
    OURS: "**panel**, all six shipped experts",
    PIPELINE: "transformers pipeline, a model of that size, fp16, batch 128",
}
SESSIONS = {
    "bare fp32": "bare session, fp32 (TF32)",
    BARE: "bare session, fp16",
    SERVED: "**as it is served**: fp16, bound and pinned buffers",
}
NOTES = """\
From strings to scores: each is given all texts at once. The bare sessions sort them by length, take whichever of six
token budgets is fastest on a sample and run the encoder, and nothing else; they set no option. The panel also runs the
heads and calibrates, `lexical` on the CPU beside them. Each contestant is a process of its own, and one runs after the
other, the order turned each round; ratios are taken within a round. A pass before the rounds is not counted."""
BATCH_NOTES = """\
The same batches of at most 16,384 padded tokens for each session, prepared before: the model, the copies of its inputs
to the card and of its output back."""


def render(results: Results) -> str:
    """The page."""
    gpu = results.gpu
    return (
        "\n".join(
            [
                "# The shipped experts on a GPU",
                "",
                *where(results),
                f"{gpu.name}, {gpu.memory_mib:,} MiB, driver {gpu.driver}; the panel takes {gpu.panel_mib:,} MiB.",
                f"{results.texts:,} texts of {results.tokens:.0f} tokens on average, of the demonstration's turns.",
                "",
                "| contestant | texts/s, median (min to max) | of the bare session, fp16 |",
                "|---|---|---|",
                *(_row(results.runs, key) for key in TITLES if any(run.contestant == key for run in results.runs)),
                "",
                NOTES,
                "",
                *_goals(results.runs),
                *(f"- {TITLES[key]} did not run: {reason}." for key, reason in results.missing.items()),
                "",
                "## Batches",
                "",
                "| session | texts/s, median (min to max) | p50 of a batch, ms | p99, ms |",
                "|---|---|---|---|",
                *(_batches(results.batches, key) for key in SESSIONS),
                "",
                BATCH_NOTES,
                "",
                "## Scores",
                "",
                "Differences of probabilities from those in fp32 on the CPU.",
                "",
                "| expert | where | largest | p99 | median |",
                "|---|---|---|---|---|",
                *map(_apart, results.apart),
            ]
        )
        + "\n"
    )


def _rate(run: Run) -> float:
    return run.texts_per_s


def _row(runs: tuple[Run, ...], key: str) -> str:
    rates = spread((run.texts_per_s for run in runs if run.contestant == key), "{:,.0f}")
    ratios = "1" if key == BARE else spread(ratios_of(runs, key, BARE, _rate), "{:.2f}")
    return f"| {TITLES[key]} | {rates} | {ratios} |"


def _batches(batches: tuple[Batches, ...], key: str) -> str:
    mine = [each for each in batches if each.session == key]
    cells = [
        SESSIONS[key],
        spread((each.texts_per_s for each in mine), "{:,.0f}"),
        spread((each.p50_ms for each in mine), "{:.2f}"),
        spread((each.p99_ms for each in mine), "{:.2f}"),
    ]
    return f"| {' | '.join(cells)} |"


def _apart(one: Apart) -> str:
    return f"| {one.expert} | {one.session} | {one.largest:.1e} | {one.p99:.1e} | {one.median:.1e} |"


def _goals(runs: tuple[Run, ...]) -> list[str]:
    return [
        f"- {TITLES[key].replace('**', '')}: at least {GOAL:g} of the bare session: {judged(found, GOAL)}."
        for key in (FIVE, OURS)
        if (found := ratios_of(runs, key, BARE, _rate))
    ]
