"""Writes an expert's folder: the model, its tokenizers, the manifest and the card. Needs scikit-learn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click
import msgspec

from experts.base import Expert, Passage
from experts.calibration import Calibration
from experts.manifest import MANIFEST, VERSION, Kind, Manifest, Platt, Reads, Source, Tokens
from experts.registry import load_expert
from experts.train.data import Example, read_set
from experts.train.quality import Figures, best_threshold, figures, fit_calibration, labels

CARD: Final = "README.md"

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


@dataclass(frozen=True, slots=True)
class Made:
    """What training has made of an expert, before it is written."""

    name: str
    version: str
    kind: Kind
    summary: str
    files: Mapping[str, bytes]
    reads: Reads
    calibration: Calibration
    weights: Sequence[Source] = ()

    def manifest(self) -> Manifest:
        """The manifest of these files."""
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}
        sets = [Source(name, licence) for name, licence in SET_LICENCES.items()]
        return Manifest(
            manifest=VERSION,
            name=self.name,
            version=self.version,
            kind=self.kind,
            summary=self.summary,
            files=digests,
            reads=self.reads,
            calibration=Platt(self.calibration.scale, self.calibration.bias),
            labels=("unsafe",),
            tokens=Tokens(pad=0),
            licence=LICENCE,
            sources=(*self.weights, *sets),
        )


def write(out: Path, made: Made) -> None:
    """Write the files and then the manifest, so that a half-written folder does not load."""
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    for name, content in made.files.items():
        (out / name).write_bytes(content)
    text = msgspec.json.format(msgspec.json.encode(made.manifest()), indent=2)
    (out / MANIFEST).write_bytes(text + b"\n")


@dataclass(frozen=True, slots=True)
class Story:
    """What a card tells besides figures: how the expert was made, how it fails, and the command that makes it again."""

    how: str
    failures: Sequence[str]
    command: str


def finish(out: Path, draft: Made, held_out: Sequence[Example], data: Path, story: Story) -> None:
    """Calibrate a draft on held-out rows, write its folder, measure what is served from there, and write the card."""
    write(out, draft)
    calibration = fit_calibration(load_expert(out, "cpu").logits(passages(held_out)), held_out)
    made = replace(draft, calibration=calibration)
    write(out, made)
    table = measured(load_expert(out, "cpu"), held_out, data)
    (out / CARD).write_text(card(made, story, table))
    click.echo("\n".join(table), err=True)


def passages(examples: Sequence[Example]) -> list[Passage]:
    """What the expert reads of the rows."""
    return [example.passage for example in examples]


def measured(expert: Expert, held_out: Sequence[Example], data: Path) -> list[str]:
    """The rows of a card's table: held-out rows and the dev sets, at 0.5 and at the held-out rows' best threshold."""
    aegis = list(read_set(data / "dev" / "aegis2_validation"))
    places: dict[str, Sequence[Example]] = {
        "held-out part of the training sets": held_out,
        "Aegis 2.0 validation": aegis,
        "Aegis 2.0 validation, prompts": [example for example in aegis if example.passage.role == "user"],
        "Aegis 2.0 validation, replies": [example for example in aegis if example.passage.role == "assistant"],
        "HateCheck (diagnostic)": list(read_set(data / "dev" / "hatecheck")),
    }
    scores = {place: expert.advise(passages(examples)) for place, examples in places.items()}
    best = best_threshold(scores["held-out part of the training sets"], held_out)
    return [
        line(place, figures(scores[place], labels(examples), threshold))
        for place, examples in places.items()
        for threshold in (0.5, best)
    ]


def line(place: str, f: Figures) -> str:
    """One row of the table of figures."""
    numbers = f"{f.auprc:.3f} | {f.threshold:.2f} | {f.f1:.3f} | {f.false_positive_rate:.3f}"
    return f"| {place} | {f.rows} | {f.unsafe} | {numbers} |"


def card(made: Made, story: Story, table: Sequence[str]) -> str:
    """The card in Markdown: what it is, how good it is, what it was made of and how it fails."""
    head = "| rows | n | unsafe | AUPRC | threshold | F1 | false-positive rate |\n|---|---|---|---|---|---|---|"
    sources = "\n".join(f"| {source.name} | {source.licence} |" for source in made.manifest().sources)
    return "\n".join(
        [
            f"# {made.name} {made.version}\n\n{made.summary}",
            f"\n## How it was made\n\n{story.how}\n\n    {story.command}",
            f"\n## How good it is\n\n{head}",
            *table,
            "\nMeasured on the files of this folder, as they are served. Scores are calibrated to a base rate of 20 %",
            "unsafe, so 0.5 is a cautious threshold where there is more; the other is the best on the held-out rows.",
            "\n## Where it fails\n",
            *(f"- {failure}" for failure in story.failures),
            f"\n## Data, weights and licences\n\n| source | licence |\n|---|---|\n{sources}",
            f"\nThe expert itself: {LICENCE}.\n",
        ]
    )
