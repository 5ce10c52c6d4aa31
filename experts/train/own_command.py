"""The command that teaches an encoder."""

from __future__ import annotations

from pathlib import Path

import click

from experts.guard_policy import Policy
from experts.train.command import data_option, one_line_errors, reading_option, work_option


@click.command(name="encoder", short_help="Fine-tune an encoder on your own labelled turns.")
@data_option
@click.option("--name", required=True, help="The expert's name.")
@click.option(
    "--experts-dir",
    type=click.Path(path_type=Path),
    envvar="AEGIS_EXPERTS_DIR",
    required=True,
    help="The folder of your experts; else AEGIS_EXPERTS_DIR.",
)
@click.option("--base", default="minilm", show_default=True, help="`minilm`, or the folder of a Hugging Face encoder.")
@reading_option
@click.option("--epochs", type=click.IntRange(1), default=2, show_default=True, help="How often all turns are read.")
@click.option("--seed", type=int, default=20, show_default=True, help="Of the head and of the order of turns.")
@click.option("--learning-rate", type=float, default=8e-5, show_default=True, help="Of the encoder, at its highest.")
@click.option("--layers", type=int, help="How many of the base's layers are kept; none: all.")
@click.option("--frozen", type=int, default=0, show_default=True, help="How many of the lowest are not trained.")
@click.option("--max-tokens", type=click.IntRange(16), default=128, show_default=True, help="Of a turn.")
@click.option("--licence", default="proprietary", show_default=True, help="Of the expert, for its card.")
@work_option
@one_line_errors("torch", "transformers", "onnx")
def encoder(
    data: Path,
    name: str,
    experts_dir: Path,
    base: str,
    reading: Policy,
    epochs: int,
    seed: int,
    learning_rate: float,
    layers: int | None,
    frozen: int,
    max_tokens: int,
    licence: str,
    work: Path,
) -> None:
    """Fine-tune an encoder on labelled turns; the result is an expert, exported, calibrated and described.

    \b
    Example:
      aegis experts train encoder --data turns.jsonl.gz --name ours --experts-dir experts
      AEGIS_EXPERTS_DIR=experts aegis worker
    """
    from experts.train.encoder import Recipe
    from experts.train.own import train_encoder

    recipe = Recipe(
        seed=seed, epochs=epochs, learning_rate=learning_rate, max_tokens=max_tokens, layers=layers, frozen=frozen
    )
    table = train_encoder(base, data, experts_dir, name, reading, recipe, licence, work)
    click.echo("\n".join(table), err=True)
    click.echo(f"{experts_dir / name} is ready: `aegis experts show {name} --experts-dir {experts_dir}`")
