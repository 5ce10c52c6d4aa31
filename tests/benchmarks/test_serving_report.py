"""What the page of `make bench-experts` says of runs, and what its harness refuses, without a model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks.serving.report import render
from benchmarks.serving.results import Results, Run
from benchmarks.serving.run import TITLES, ContestantError, apart, started
from benchmarks.serving.stage import MAX_TOKENS, sample

ECHO = "from benchmarks.serving.protocol import serve; serve(lambda texts: [len(text) for text in texts])"


def rounds(contestant: str, *rates: float) -> list[Run]:
    return [Run(contestant, number, 100 / rate, rate, 5.0, 1.5) for number, rate in enumerate(rates)]


def page(*runs: list[Run], **missing: str) -> list[str]:
    results = Results(
        at="2026-01-05",
        command="make bench-experts",
        processor="Some CPU",
        cores=2,
        versions={"Python": "3.11.7"},
        texts=100,
        tokens=40.2,
        apart=2.5e-7,
        missing=missing,
        runs=tuple(run for some in runs for run in some),
    )
    return render(results, TITLES).splitlines()


def row(lines: list[str], title: str) -> list[str]:
    (line,) = (line for line in lines if line.startswith(f"| {title} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_ratios_are_of_the_executor_within_a_round() -> None:
    lines = page(rounds("panel", 90, 200, 150), rounds("bare", 100, 200, 300))
    assert row(lines, TITLES["bare"])[1:3] == ["200 (100 to 300)", "0.90 (0.50 to 1.00)"]
    assert row(lines, TITLES["panel"])[1:3] == ["150 (90 to 200)", "1"]


def test_goals_are_judged_by_every_round() -> None:
    lines = page(
        rounds("panel", 96, 96), rounds("bare", 100, 100), rounds("pipeline", 20, 30), rounds("infinity-torch", 80, 90)
    )
    judged = {
        line.partition(": ")[0].rpartition(" of ")[2]: line.partition(": ")[2] for line in lines if "least" in line
    }
    assert judged[TITLES["bare"]] == "reached in every round."
    assert judged[TITLES["pipeline"]] == "reached by the median, not in every round."
    assert judged[TITLES["infinity-torch"]] == "**not reached**."


def test_a_contestant_that_did_not_run_has_no_row_and_the_page_says_why() -> None:
    lines = page(rounds("panel", 90), pipeline="it ended with a reason")
    assert f"- {TITLES['pipeline']} did not run: it ended with a reason." in lines
    assert not any(line.startswith(f"| {TITLES['pipeline']}") for line in lines)


def test_contestants_that_do_not_give_the_same_probabilities_are_refused() -> None:
    assert apart({"bare": [0.1, 0.2], "panel": [0.1001, 0.2]}) == pytest.approx(1e-4)
    with pytest.raises(ContestantError, match=r"panel gives probabilities that are 0\.01 from"):
        apart({"bare": [0.1, 0.2], "panel": [0.11, 0.2]})


def test_a_contestant_warms_up_and_then_answers_round_by_round(tmp_path: Path) -> None:
    texts = tmp_path / "texts.json"
    texts.write_text('["a", "bcd"]')
    with started("echo", [sys.executable, "-c", ECHO, str(texts)], tmp_path) as contestant:
        assert contestant.ask() == {"ready": True}
        for number in range(2):
            run, scores = contestant.go(number)
            assert (run.contestant, run.round, scores) == ("echo", number, [1.0, 3.0])
            assert run.texts_per_s == pytest.approx(2 / run.seconds)


def test_a_contestant_that_ends_is_told_with_its_last_line(tmp_path: Path) -> None:
    with (
        started("broken", [sys.executable, "-c", "raise SystemExit('no such model')"], tmp_path) as contestant,
        pytest.raises(ContestantError, match="it ended with no such model"),
    ):
        contestant.ask()


def test_texts_are_the_same_each_time_and_none_is_longer_than_the_model_reads() -> None:
    tokenizer = Tokenizer(models.WordLevel({"w": 0, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    texts = ["w " * length for length in range(300)]
    chosen, tokens = sample(tokenizer, list(texts), 50)
    assert (chosen, tokens) == sample(tokenizer, list(texts), 50)
    assert all(0 < len(text.split()) <= MAX_TOKENS for text in chosen)
    assert tokens == sum(len(text.split()) for text in chosen) / 50
