"""What `aegis experts` shows on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from experts.errors import ManifestError
from experts.manifest import Manifest, Platt, read_manifest
from experts.speed import Speed

MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Shelf:
    """An expert's folder: its manifest, or why it has none, and the bytes in it."""

    name: str
    size: int
    manifest: Manifest | None
    problem: ManifestError | None = None

    @classmethod
    def of(cls, folder: Path) -> Shelf:
        """What stands in a folder."""
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        try:
            return cls(folder.name, size, read_manifest(folder))
        except ManifestError as error:
            return cls(folder.name, size, None, error)


def listed(shelves: Sequence[Shelf]) -> Table:
    """A row each."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("name", "version", "kind", "size", "backbone", "calibrated", "reads", "tokens"):
        table.add_column(heading, justify="right" if heading in ("size", "tokens") else "left")
    for shelf in shelves:
        size, found = f"{shelf.size / MEGABYTE:.1f} MB", shelf.manifest
        if found is None:
            table.add_row(shelf.name, "", "[red]broken[/red]", size)
            continue
        backbone = found.backbone.name if found.backbone else "–"
        reads = ", ".join(found.reads.roles) + (" + history" if found.reads.history else "")
        row = (found.version, found.kind, size, backbone, calibrated(found), reads, str(found.reads.max_tokens))
        table.add_row(shelf.name, *row)
    return table


def calibrated(manifest: Manifest) -> str:
    """Whether the scores are calibrated; a backbone has none."""
    if manifest.kind == "backbone":
        return "–"
    return "no" if manifest.calibration == Platt(1.0, 0.0) else "yes"


def described(manifest: Manifest) -> Table:
    """What a manifest says, a line each."""
    table = Table.grid(padding=(0, 2))
    labels = ", ".join(f"{label.name} = {label.means}" for label in manifest.labels)
    platt = f"{manifest.calibration.scale:.3f} × logit + {manifest.calibration.bias:.3f}"
    lines = {
        "expert": manifest.id,
        "kind": manifest.kind,
        "reads": f"{', '.join(manifest.reads.roles)}; at most {manifest.reads.max_tokens} tokens"
        + ("; for a reply the turn before it, too" if manifest.reads.history else ""),
        "labels": f"{labels} ({manifest.outputs})",
        "calibrated": f"{calibrated(manifest)} ({platt})",
        "backbone": manifest.backbone.name if manifest.backbone else "–",
        "licence": manifest.licence,
    }
    for heading, value in lines.items():
        table.add_row(f"[bold]{heading}[/bold]", value)
    for name, sha256 in manifest.files.items():
        table.add_row(f"[bold]{name}[/bold]", f"sha256 {sha256}")
    return table


def timed(found: Sequence[tuple[str, Speed]]) -> Table:
    """A row for each expert: name and speed."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("expert")
    for heading in ("texts", "texts/s", "budget", "batches", "ms a batch p50", "p99", "ms alone p50", "p99"):
        table.add_column(heading, justify="right")
    for name, speed in found:
        times = (speed.batch_p50, speed.batch_p99, speed.alone_p50, speed.alone_p99)
        counts = (f"{speed.texts:,}", f"{speed.texts_per_second:,.0f}", f"{speed.budget:,}", f"{speed.batches:,}")
        table.add_row(name, *counts, *(f"{value:.1f}" for value in times))
    return table
