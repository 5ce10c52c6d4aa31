"""The command that teaches a guard."""

from __future__ import annotations

from pathlib import Path

import click

from experts.guard_policy import Policy
from experts.train.command import data_option, one_line_errors, reading_option, work_option


@click.command(name="guard", short_help="Teach a guard LLM with LoRA.")
@click.argument("base", type=click.Path(path_type=Path))
@data_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder of adapters to write.")
@reading_option
@click.option("--policy", type=click.Path(path_type=Path), help="A file with a list of categories instead of ours.")
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True, help="How often all turns are read.")
@click.option("--seed", type=int, default=20, show_default=True, help="Of the adapters and of the order of turns.")
@click.option("--rank", type=click.IntRange(1), default=16, show_default=True, help="Of the adapters.")
@click.option("--max-tokens", type=click.IntRange(16), default=512, show_default=True, help="Of a conversation.")
@work_option
@one_line_errors("torch", "transformers", "peft", "onnx")
def guard(
    base: Path,
    data: Path,
    out: Path,
    reading: Policy,
    policy: Path | None,
    epochs: int,
    seed: int,
    rank: int,
    max_tokens: int,
    work: Path,
) -> None:
    """Teach the causal language model in the folder BASE to answer safe or unsafe, with LoRA adapters.

    \b
    Example:
      aegis experts train guard models/llama --data aegis.jsonl.gz --reading defensive --out models/llama-defensive
      aegis experts add models/llama --lora models/llama-defensive --reading defensive --name defensive-guard
    """
    from experts.train.guard import Recipe, train_guard

    recipe = Recipe(seed=seed, epochs=epochs, rank=rank, alpha=2 * rank, max_tokens=max_tokens)
    listed = None if policy is None else policy.read_text(encoding="utf-8").strip()
    turns = train_guard(base, data, out, reading=reading, recipe=recipe, policy=listed, work=work)
    click.echo(f"learned from {turns} turns: `aegis experts add {base} --lora {out} --reading {reading}`")
