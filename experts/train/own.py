"""Fine-tunes an encoder on a user's own labelled turns, as an expert that shares nothing with the others. Needs torch.

aegis experts train encoder --data turns.jsonl.gz --name ours --experts-dir experts
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from experts.base import Passage, Scores
from experts.errors import TrainingError
from experts.guard_policy import Policy
from experts.manifest import Reads
from experts.registry import load_expert
from experts.shelves import making
from experts.train import encoder, export
from experts.train.backbones import base_folder, open_tokenizer
from experts.train.folder import Made, Story, passages_of, table_of, write
from experts.train.quality import Labelled, fit_calibration
from experts.train.turns import Lesson, read_lessons

ROLES: Final = ("user", "assistant", "system")
VERSION: Final = "1"
# One turn in ten calibrates; with fewer of a class than this, nothing could be said of a threshold.
HELD_OUT: Final = 10
LEAST: Final = 10


@dataclass(frozen=True, slots=True)
class Taught:
    """A turn as `experts.train.encoder` learns it: one column."""

    passage: Passage
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


def is_held_out(lesson: Lesson) -> bool:
    """Whether a turn is for calibration: by its text alone, so that a text is never on both sides."""
    digest = hashlib.sha256(lesson.passage.text.casefold().encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) % HELD_OUT == 0


def split(lessons: Sequence[Lesson]) -> tuple[list[Lesson], list[Lesson]]:
    """(to learn from, held out). TrainingError if too few of a class are held out."""
    held_out = [lesson for lesson in lessons if is_held_out(lesson)]
    unsafe = sum(lesson.unsafe >= 0.5 for lesson in held_out)
    if min(unsafe, len(held_out) - unsafe) < LEAST:
        raise TrainingError(
            f"of {len(lessons)} turns one in {HELD_OUT} calibrates, {unsafe} unsafe and {len(held_out) - unsafe} safe "
            f"ones: label more, so that there are {LEAST} of each"
        )
    return [lesson for lesson in lessons if not is_held_out(lesson)], held_out


def train_encoder(
    base: str, data: Path, root: Path, name: str, reading: Policy, recipe: encoder.Recipe, licence: str, work: Path
) -> list[str]:
    """Train, export, calibrate and write the expert `root`/`name`; the rows of its table of figures.

    TrainingError, ExportError or ManifestError, each in one line with what to do. Interrupted, it goes on from its
    checkpoint in `work` when it is called again with the same recipe and data.
    """
    home = base_folder(base)
    learned, held_out = split(read_lessons(data, reading))
    tokenizer, pad = open_tokenizer(home)
    one = np.ones(1, np.float32)
    lessons = [Taught(lesson.passage, np.array([lesson.unsafe], np.float32), one) for lesson in learned]
    rows = encoder.taught(lessons, tokenizer, recipe.max_tokens)
    model = encoder.new_model(home, recipe, {"unsafe": 1})
    with making(root, name) as folder:
        model = encoder.train(recipe, model, rows, pad, work / f"{name}.pt")
        content = export.export_whole(model)
        compared = encoder.encoded(passages_of(held_out[: export.COMPARED]), tokenizer, recipe.max_tokens)
        difference = export.compare(model, content, [], compared, pad)
        how = (
            f"{home.resolve().name} fine-tuned on {len(learned)} labelled turns, {reading} reading, {recipe.epochs} "
            f"epochs (seed {recipe.seed}, learning rate {recipe.learning_rate}). {len(held_out)} turns were held out "
            f"to calibrate. Weights are stored as int8 with a scale a row and computed with as fp32. Logits on "
            f"{len(compared)} of them, ONNX against PyTorch: {difference}."
        )
        files = {"model.onnx": content, "tokenizer.json": tokenizer.to_str().encode()}
        story = Story(how, FAILURES, f"aegis experts train encoder --data … --name {name} --reading {reading}")
        reads = Reads(roles=ROLES, history=True, max_tokens=recipe.max_tokens)
        summary = f"A fine-tuned encoder, {reading} reading; of a reply it reads the user turn before it, too."
        draft = Made(name, VERSION, "classifier", summary, files, reads, story, sets={}, pad=pad, licence=licence)
        return finish(folder, draft, held_out)


FAILURES: Final = ("Not known here: `aegis evaluate` measures it on labelled turns that it has not seen.",)


def finish(folder: Path, draft: Made, held_out: Sequence[Lesson]) -> list[str]:
    """Write the folder, calibrated on what is served from it, with its figures."""
    write(folder, draft)
    known = Labelled(["own"] * len(held_out), np.array([lesson.unsafe >= 0.5 for lesson in held_out], bool))
    made = replace(draft, calibration=fit_calibration(load_expert(folder, "cpu").logits(passages_of(held_out)), known))
    write(folder, made)
    scores: Scores = load_expert(folder, "cpu").advise(passages_of(held_out))
    table = table_of({"held-out turns": (scores, known)}, "held-out turns")
    write(folder, made, table)
    return table
