"""Writes the folder of an expert of ours: the model, its tokenizers, the manifest and the card. Needs scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from experts.base import Passage, Scores
from experts.calibration import Calibration
from experts.export.folder import digests, write_expert
from experts.manifest import MANIFEST, VERSION, Backbone, Kind, Label, Manifest, Platt, Reads, Source, Tokens
from experts.train.data import Example, read_set
from experts.train.quality import Labelled, best_threshold, figures

LICENCE: Final = "Apache-2.0"
ROLES: Final = ("user", "assistant", "system")

# The licences of the sets in experts/train/data.py, as their LICENSE_NOTE.txt gives them.
SET_LICENCES: Final[Mapping[str, str]] = {
    "aart_prompts": "CC-BY-4.0",
    "aegis1_val_test": "CC-BY-4.0",
    "aegis2_unsafe_prompts900": "CC-BY-4.0",
    "benign_topical_chat": "CDLA-Sharing-1.0",
    "benign_wildchat300": "ODC-BY-1.0",
    "catqa": "Apache-2.0",
    "convabuse": "CC-BY-4.0",
    "davidson_hate_offensive": "MIT",
    "diasafety": "Apache-2.0",
    "edos_sexism": "CC0-1.0",
    "gptfuzz_labelled_replies": "MIT",
    "guardreasoner_train_sample5k": "ODC-BY-1.0 (WildGuardTrain), CC-BY-4.0 (Aegis 1.0)",
    "jailbreak_llms_inthewild": "MIT",
    "jailjudge_mini": "MIT",
    "surge_toxicity": "MIT",
    "wikipedia_context_toxicity": "Apache-2.0 (texts CC-BY-SA)",
    "wildjailbreak_adv_harmful2000": "ODC-BY-1.0",
}


UNSAFE: Final = (Label("unsafe", "unsafe"),)

# What of a row an expert is measured by; None: it says nothing of that row.
Truth = Callable[[Example], bool | None]


def permissive(row: Example) -> bool | None:
    """Whether the row is unsafe if needs-caution is safe."""
    return None if math.isnan(row.permissive) else row.permissive >= 0.5


def defensive(row: Example) -> bool | None:
    """Whether the row is unsafe if needs-caution is, too."""
    return None if math.isnan(row.defensive) else row.defensive >= 0.5


@dataclass(frozen=True, slots=True)
class Story:
    """What a card tells besides figures: how the expert was made, how it fails, and the command that makes it again."""

    how: str
    failures: Sequence[str]
    command: str


@dataclass(frozen=True, slots=True)
class Made:
    """What training has made of an expert, before it is written."""

    name: str
    version: str
    kind: Kind
    summary: str
    files: Mapping[str, bytes]
    reads: Reads
    story: Story
    calibration: Calibration = field(default_factory=Calibration)
    weights: Sequence[Source] = ()
    sets: Mapping[str, str] = field(default_factory=lambda: SET_LICENCES)
    labels: tuple[Label, ...] = UNSAFE
    pad: int = 0
    backbone: Backbone | None = None
    licence: str = LICENCE

    def manifest(self) -> Manifest:
        """The manifest of these files."""
        return Manifest(
            manifest=VERSION,
            name=self.name,
            version=self.version,
            kind=self.kind,
            summary=self.summary,
            files=digests(self.files),
            reads=self.reads,
            calibration=Platt(self.calibration.scale, self.calibration.bias),
            labels=self.labels,
            tokens=Tokens(pad=self.pad),
            licence=self.licence,
            sources=(*self.weights, *(Source(name, licence) for name, licence in self.sets.items())),
            backbone=self.backbone,
        )


def write(out: Path, made: Made, table: Sequence[str] = ()) -> None:
    """Write card and files and then the manifest, so that a half-written folder does not load."""
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    write_expert(out, made.manifest(), made.files, card(made, table))


class Read(Protocol):
    """Anything with a passage."""

    @property
    def passage(self) -> Passage: ...


def passages_of(rows: Sequence[Read]) -> list[Passage]:
    """What an expert reads of the rows."""
    return [row.passage for row in rows]


def labelled(rows: Sequence[Example], truth: Truth) -> tuple[list[int], Labelled]:
    """The rows of which something is known, by number, and with it."""
    known = [(index, unsafe) for index, row in enumerate(rows) if (unsafe := truth(row)) is not None]
    kept = [index for index, _ in known]
    return kept, Labelled([rows[index].source for index in kept], np.array([unsafe for _, unsafe in known], bool))


def places(data: Path, held_out: Sequence[Example]) -> dict[str, Sequence[Example]]:
    """The rows that experts are measured on, by the name that the card gives them."""
    aegis = list(read_set(data / "dev" / "aegis2_validation"))
    return {
        HELD_OUT: held_out,
        "Aegis 2.0 validation": aegis,
        "Aegis 2.0 validation, prompts": [example for example in aegis if example.passage.role == "user"],
        "Aegis 2.0 validation, replies": [example for example in aegis if example.passage.role == "assistant"],
        "HateCheck (diagnostic)": list(read_set(data / "dev" / "hatecheck")),
    }


HELD_OUT: Final = "held-out part of the training sets"


def measured(found: Mapping[str, tuple[Sequence[Example], Scores]], truth: Truth) -> list[str]:
    """The rows of a card's table: rows and scores by place, at 0.5 and at the held-out rows' best threshold. Rows on
    which the expert abstains are left out.
    """
    return table_of({place: _judged(rows, scores, truth) for place, (rows, scores) in found.items()}, HELD_OUT)


def table_of(judged: Mapping[str, tuple[Scores, Labelled]], held_out: str) -> list[str]:
    """The rows of a card's table, the second threshold being the best of the place `held_out`."""
    best = best_threshold(*judged[held_out])
    return [
        _line(place, scores, known, threshold)
        for place, (scores, known) in judged.items()
        for threshold in (0.5, best)
        if len(scores)
    ]


def _judged(rows: Sequence[Example], scores: Scores, truth: Truth) -> tuple[Scores, Labelled]:
    kept, known = labelled(rows, truth)
    awake = ~np.isnan(scores[kept])
    sources = [source for source, heard in zip(known.sources, awake, strict=True) if heard]
    return scores[kept][awake], Labelled(sources, known.unsafe[awake])


def _line(place: str, scores: Scores, known: Labelled, threshold: float) -> str:
    f = figures(scores, known.unsafe, threshold)
    numbers = f"{f.auprc:.3f} | {f.threshold:.2f} | {f.f1:.3f} | {f.false_positive_rate:.3f}"
    return f"| {place} | {f.rows} | {f.unsafe} | {numbers} |"


def card(made: Made, table: Sequence[str]) -> str:
    """The card in Markdown: what it is, how good it is, what it was made of and how it fails."""
    head = "| rows | n | unsafe | AUPRC | threshold | F1 | false-positive rate |\n|---|---|---|---|---|---|---|"
    sources = "\n".join(f"| {source.name} | {source.licence} |" for source in made.manifest().sources)
    parts = [
        f"# {made.name} {made.version}\n\n{made.summary}",
        f"\n## How it was made\n\n{made.story.how}\n\n    {made.story.command}",
    ]
    if table:
        parts += [
            f"\n## How good it is\n\n{head}",
            *table,
            "\nMeasured on the files of this folder, as they are served. Scores are calibrated (Platt) to a base rate",
            "of 20 % unsafe, so 0.5 is cautious where there is more; the other threshold is the best on held-out rows.",
        ]
    return "\n".join(
        [
            *parts,
            "\n## Where it fails\n",
            *(f"- {failure}" for failure in made.story.failures),
            f"\n## Data, weights and licences\n\n| source | licence |\n|---|---|\n{sources}",
            f"\nThe expert itself: {made.licence}.\n",
        ]
    )
