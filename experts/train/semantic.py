"""Trains the semantic expert: MiniLM, fine-tuned, calibrated and exported.

    python -m experts.train.semantic --data DIR --out DIR

Interrupted, it goes on from the last checkpoint in `--work` when it is started again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from experts.calibration import Calibration
from experts.manifest import Reads, Source
from experts.train.command import one_line_errors
from experts.train.data import training_examples

NAME: Final = "semantic"
VERSION: Final = "1"
SUMMARY: Final = "all-MiniLM-L6-v2 fine-tuned as a binary classifier; of a reply it reads the user turn before it, too."
WEIGHTS: Final = (Source("sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0"),)
FAILURES: Final = (
    "Benign questions about dangerous things (medicine, history, security, fiction) score too high.",
    "Names of groups beside neutral statements, and quoted or reclaimed slurs, raise the score.",
    "Mockery and bias without a harsh word pass.",
    "Long role-play that hides its request behind the first 128 tokens is read only up to there.",
    "English only: other languages score unreliably.",
)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder that holds train/ and dev/.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The expert's folder to write.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path(".aegis/train"),
    show_default=True,
    help="Folder for the checkpoint.",
)
@click.option("--threads", type=int, default=0, help="CPU threads; 0: as many as there are cores.")
@one_line_errors("torch", "transformers", "sklearn", "onnx")
def main(data: Path, out: Path, work: Path, threads: int) -> None:
    """Train the semantic expert, calibrate it, and write its folder and card."""
    import torch

    from experts.train import export, finetune
    from experts.train.folder import ROLES, Made, Story, finish

    if threads:
        torch.set_num_threads(threads)
    recipe = finetune.Recipe()
    tokenizer = finetune.backbone_tokenizer()
    learned, held_out = training_examples(data, recipe.seed, recipe.scale)
    click.echo(f"learning from {len(learned)} rows, {len(held_out)} are held out", err=True)
    model = finetune.train(finetune.labelled(learned, tokenizer), recipe, work / "semantic.pt")
    exported = export.export(model)
    rows = finetune.labelled(held_out[: export.COMPARED], tokenizer)
    difference = export.compare(model, exported, rows)
    files = {"model.onnx": exported, "tokenizer.json": tokenizer.to_str().encode()}
    reads = Reads(roles=ROLES, history=True, max_tokens=finetune.MAX_TOKENS)
    how = (
        f"Fine-tuned on {len(learned)} rows of the sets below for {recipe.epochs} epochs (seed {recipe.seed}, learning "
        f"rate {recipe.learning_rate}, at most {finetune.MAX_TOKENS} tokens, word embeddings frozen). {len(held_out)} "
        "rows were held out to calibrate. Weights are stored as int8 with a scale a row and computed with as fp32. "
        f"Logits on {len(rows)} held-out rows, ONNX against PyTorch: with the weights as trained they differ by "
        f"{difference.mean:.4f} on average and {difference.most:.4f} at most, with the stored weights by "
        f"{difference.same_weights:.1e} at most."
    )
    command = "python -m experts.train.semantic --data DIR --out experts/zoo/semantic"
    made = Made(NAME, VERSION, "classifier", SUMMARY, files, reads, Calibration(), WEIGHTS)
    finish(out, made, held_out, data, Story(how, FAILURES, command))


if __name__ == "__main__":
    main()
