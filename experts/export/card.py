"""The card of an added expert: where it is from, what its labels mean, how far it is from PyTorch, what it is worth."""

from __future__ import annotations

from experts.export.calibrating import Worth
from experts.export.origin import Origin
from experts.export.parity import Parity
from experts.export.wish import Labelled
from experts.manifest import Manifest

MEANT = {"unsafe": "unsafe", "safe": "safe", "none": "nothing that moderation asks for"}


def card(manifest: Manifest, origin: Origin, parity: Parity, labelled: Labelled | None, worth: Worth | None) -> str:
    """The card in Markdown."""
    reads = manifest.reads
    before = ", of a reply also the user turn before it" if reads.history else ""
    labels = "\n".join(f"| {label.name} | {MEANT.get(label.means, label.means)} |" for label in manifest.labels)
    return f"""# {manifest.name} {manifest.version}

{manifest.summary}

## How it was made

`aegis experts add` exported {origin.architecture} from the folder `{origin.path.resolve().name}`. It reads turns of
{", ".join(reads.roles)}{before}, at most {reads.max_tokens} tokens.

{parity.sentence()}

## What its labels mean

Columns become probabilities by {manifest.outputs}.

| label | means |
|---|---|
{labels}

## How good it is

{worth_of(labelled, worth)}

## Where it fails

Not known here: its makers' card may say. `aegis evaluate` measures it on labelled turns of your own.

## Data, weights and licences

The model's licence: {manifest.licence}. What it was trained on is its makers' to say.
"""


def worth_of(labelled: Labelled | None, worth: Worth | None) -> str:
    """The figures, or that there are none."""
    if labelled is None or worth is None:
        return (
            "Not calibrated, and not measured: its scores are the model's own probabilities, so 0.5 need not mean what "
            "it means for the others. Add it again with `--data` and labelled turns."
        )
    numbers = f"{worth.auprc:.3f} | {worth.auroc:.3f} | {worth.f1:.3f} | {worth.false_positive_rate:.3f}"
    return f"""Calibrated (Platt) to a base rate of 20 % unsafe, and measured, on the same turns of `{labelled.name}`.

| turns | unsafe | AUPRC | AUROC | F1 at 0.5 | false-positive rate at 0.5 |
|---|---|---|---|---|---|
| {worth.rows} | {worth.unsafe} | {numbers} |"""
