"""Trains the shipped experts that share an encoder: one backbone and its heads, calibrated, exported and described.

    aegis experts train shipped --data DIR --base DIR --out experts/zoo

Interrupted, it goes on from the last checkpoint in `--work` when it is started again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from experts.base import Passage, Scores
from experts.manifest import MANIFEST, Backbone, Label, Reads, Source
from experts.registry import load_expert
from experts.taxonomy import RISKS
from experts.train.command import one_line_errors
from experts.train.data import Example
from experts.train.folder import (
    HELD_OUT,
    SET_LICENCES,
    Made,
    Story,
    labelled,
    measured,
    passages_of,
    places,
    write,
)  # fmt: skip
from experts.train.lessons import HEADS, PROMPTS, lessons

BACKBONE: Final = "encoder"
VERSION: Final = "1"
COMMAND: Final = "aegis experts train shipped --data DIR --base all-mpnet-base-v2 --out experts/zoo"
WEIGHTS: Final = (Source("sentence-transformers/all-mpnet-base-v2", "Apache-2.0"),)
ROLES: Final = ("user", "assistant", "system")
SETS: Final = {**SET_LICENCES, "prompts written for this project (experts/train/contrast.toml)": "Apache-2.0"}
SUMMARY: Final = "The encoder that the heads beside it share: it runs once for all of them, and is no expert by itself."
ENGLISH: Final = "English only: other languages score unreliably."
LONG: Final = "Of a text over 192 tokens it reads the first two thirds and the last third of that; the middle is lost."
GROUPS: Final = "Names of groups beside neutral statements, counter-speech and quoted slurs raise the score."
FICTION: Final = "Fiction, history and news that tell of violence may score as if they asked for it."


@dataclass(frozen=True, slots=True)
class Plan:
    """What one head is for. `reading` and `sources` (None: all) say by which rows it is calibrated and measured."""

    summary: str
    roles: tuple[str, ...]
    reading: str
    failures: Sequence[str]
    sources: frozenset[str] | None = None
    labels: tuple[Label, ...] = (Label("unsafe", "unsafe"),)

    def truth(self, row: Example) -> bool | None:
        """Whether the row is unsafe as this head reads labels; None if it is not for this head."""
        if row.passage.role not in self.roles:
            return None
        unsafe = row.permissive if self.reading == "permissive" else row.defensive
        return None if math.isnan(unsafe) else unsafe >= 0.5

    def calibrates(self, row: Example) -> bool | None:
        """The same, for the rows that it learned from."""
        return self.truth(row) if self.sources is None or row.source in self.sources else None


PLANS: Final[Mapping[str, Plan]] = {
    "permissive": Plan(
        "Reads any turn; what needs caution is safe to it.", ROLES, "permissive", (GROUPS, FICTION, LONG, ENGLISH)
    ),
    "defensive": Plan(
        "Reads any turn; what needs caution is unsafe to it, and so is a disguise that asks for nothing.",
        ROLES,
        "defensive",
        (GROUPS, "It flags role play, insults among friends and toxic tone that most people let pass.", LONG, ENGLISH),
    ),
    "replies": Plan(
        "Reads replies with the prompt before them, and sleeps on all other turns.",
        ("assistant",),
        "permissive",
        (
            "A polite reply with a mild mistake is taken for harmful, as its data (DiaSafety) has it.",
            "Without the prompt (no `history`, no table of conversations) it reads the reply alone, and is worse.",
            LONG,
            ENGLISH,
        ),
    ),
    "jailbreak": Plan(
        "A specialist for prompts to a language model: it looks for the ask inside a disguise, and sleeps on replies.",
        ("user",),
        "permissive",
        (
            "Chatter between people is not what it learned: insults and hate in a few words may pass.",
            "A harmless ask inside a known jailbreak frame is flagged too often, the frame being rare without harm.",
            LONG,
            ENGLISH,
        ),
        frozenset(PROMPTS),
    ),
    "risks": Plan(
        "Tells the risks of the taxonomy apart; its score is that of the likeliest risk.",
        ROLES,
        "permissive",
        (
            "Risks with few rows (copyright, manipulation, government decisions) are hardly ever named.",
            "Most sets name one risk a row, so the second one of a text often stays low.",
            GROUPS,
            LONG,
            ENGLISH,
        ),
        labels=tuple(Label(risk, risk) for risk in RISKS),
    ),
}  # fmt: skip


def columns() -> dict[str, int]:
    """The columns of each head, in the order of `experts.train.lessons`."""
    return dict.fromkeys(HEADS, 1) | {"risks": len(RISKS)}


class Features:
    """The backbone's features of many passages, computed once for all heads."""

    def __init__(self, trunk: Any, passages: Sequence[Passage]) -> None:
        rows = trunk.encode(passages)
        self.roles = [passage.role if len(row) else "" for passage, row in zip(passages, rows, strict=True)]
        kept = [index for index, role in enumerate(self.roles) if role]
        self.values = np.full((len(passages), trunk.session.width or 0), np.nan, np.float32)
        with click.progressbar(range(0, len(kept), 256), label="features", file=click.get_text_stream("stderr")) as bar:
            for start in bar:
                part = kept[start : start + 256]
                self.values[part] = trunk.run_all([rows[index] for index in part])

    def scores(self, expert: Any) -> Scores:
        """What a head says of each, float32[N]; NaN where it sleeps."""
        awake = [index for index, role in enumerate(self.roles) if role and expert.wakes(role)]
        result = np.full(len(self.roles), np.nan, np.float32)
        if awake:
            result[awake] = expert.conclude(self.values[awake]).scores
        return result


@dataclass(frozen=True, slots=True)
class Shipment:
    """What every folder has in common: where the folders go, what they read, and how they were made."""

    out: Path
    reads: Reads
    how: str

    def backbone(self, model: bytes, tokenizer: bytes, pad: int) -> Made:
        """The encoder's folder."""
        story = Story(self.how, (LONG, ENGLISH), COMMAND)
        files = {"model.onnx": model, "tokenizer.json": tokenizer}
        made = Made(BACKBONE, VERSION, "backbone", SUMMARY, files, self.reads, story, weights=WEIGHTS, sets=SETS)
        return replace(made, labels=(), pad=pad)

    def head(self, name: str, model: bytes) -> Made:
        """A head's folder, on the backbone that is written already."""
        plan = PLANS[name]
        return Made(
            name,
            VERSION,
            "head",
            plan.summary,
            {"model.onnx": model},
            Reads(roles=plan.roles, history=self.reads.history, max_tokens=self.reads.max_tokens),
            Story(f"{self.how} This head has one hidden layer of 128 over the features.", plan.failures, COMMAND),
            weights=WEIGHTS,
            sets=SETS,
            labels=plan.labels,
            backbone=Backbone(BACKBONE, hashlib.sha256((self.out / BACKBONE / MANIFEST).read_bytes()).hexdigest()),
        )


def ship(
    model: Any, tokenizer: Any, pad: int, recipe: Any, learned: int, held_out: Sequence[Example], data: Path, out: Path
) -> None:
    """Export a trained model, and write its folders, calibrated and measured as they are served."""
    from experts.train import encoder, export

    body = export.export_encoder(model)
    heads = {name: export.export_head(head) for name, head in model.heads.items()}
    rows = encoder.encoded(passages_of(held_out[: export.COMPARED]), tokenizer, recipe.max_tokens)
    difference = export.compare(model, body, list(heads.values()), rows, pad)
    how = (
        f"The lower {len(model.encoder.body.encoder.layer)} layers of the encoder, fine-tuned for all heads at once on "
        f"{learned} rows of the sets below for {recipe.epochs} epochs (seed {recipe.seed}, learning rate "
        f"{recipe.learning_rate}, at most {recipe.max_tokens} tokens, embeddings and the lowest {recipe.frozen} layers "
        f"frozen). {len(held_out)} rows were held out to calibrate. Weights are stored as int8 with a scale a row and "
        f"computed with as fp32. Logits on {len(rows)} held-out rows, ONNX against PyTorch: {difference}."
    )
    shipment = Shipment(out, Reads(roles=ROLES, history=True, max_tokens=recipe.max_tokens), how)
    write(out / BACKBONE, shipment.backbone(body, tokenizer.to_str().encode(), pad))
    drafts = {name: shipment.head(name, heads[name]) for name in PLANS}
    for name, made in drafts.items():
        write(out / name, made)
    calibrate(out, drafts, places(data, held_out))


def calibrate(out: Path, drafts: Mapping[str, Made], found: Mapping[str, Sequence[Example]]) -> None:
    """Calibrate each head on the held-out rows, measure it on all, and write its folder again, with the figures."""
    from experts.train.quality import fit_calibration

    trunk = load_expert(out / next(iter(drafts)), "cpu").trunk
    features = {place: Features(trunk, passages_of(rows)) for place, rows in found.items()}
    for name, made in drafts.items():
        plan = PLANS[name]
        kept, known = labelled(found[HELD_OUT], plan.calibrates)
        logits = load_expert(out / name, "cpu").unsafe_logits(features[HELD_OUT].values[kept])
        fitted = replace(made, calibration=fit_calibration(logits, known))
        write(out / name, fitted)
        expert = load_expert(out / name, "cpu")
        scored = {place: (rows, features[place].scores(expert)) for place, rows in found.items()}
        table = measured(scored, plan.truth)
        write(out / name, fitted, table)
        click.echo("\n".join([name, *table]), err=True)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder that holds train/ and dev/.")
@click.option("--base", required=True, help="Folder of all-mpnet-base-v2 (`make base`), or `minilm`.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the experts' folders.")
@click.option("--layers", type=int, default=6, show_default=True, help="How many of the base's layers are kept.")
@click.option("--frozen", type=int, default=2, show_default=True, help="How many of them are not trained.")
@click.option(
    "--work", type=click.Path(path_type=Path), default=Path(".aegis/train"), show_default=True, help="For checkpoints."
)
@click.option("--scale", type=float, default=1.0, show_default=True, help="Of the number of rows; less, to try it.")
@one_line_errors("torch", "transformers", "sklearn", "onnx")
def main(data: Path, base: str, out: Path, layers: int, frozen: int, work: Path, scale: float) -> None:
    """Train the shared encoder and its heads, calibrate them, and write their folders and cards.

    \b
    Example:
      make base
      aegis experts train shipped --data ../shared/datasets --base .aegis/base/all-mpnet-base-v2 --out experts/zoo
    """
    from experts.train import backbones, encoder

    recipe = encoder.Recipe(layers=layers, frozen=frozen, scale=scale)
    home = backbones.base_folder(base)
    tokenizer, pad = backbones.open_tokenizer(home)
    learned, held_out = lessons(data, recipe.seed, scale)
    click.echo(f"learning from {len(learned)} rows, {len(held_out)} are held out", err=True)
    rows = encoder.taught(learned, tokenizer, recipe.max_tokens)
    model = encoder.train(recipe, encoder.new_model(home, recipe, columns()), rows, pad, work / "shipped.pt")
    ship(model, tokenizer, pad, recipe, len(learned), held_out, data, out)
