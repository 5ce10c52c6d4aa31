"""Writes the files of an expert's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from experts.manifest import MANIFEST, Manifest

CARD: Final = "README.md"


def write_expert(folder: Path, manifest: Manifest, files: Mapping[str, bytes], card: str) -> None:
    """Write the files, the card, and last the manifest."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / CARD).write_text(card, encoding="utf-8")
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """The sha256 of each file, as a manifest wants them."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
