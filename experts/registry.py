"""Finds experts on disk and puts them together to a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from experts import backbones
from experts.base import Expert
from experts.classifier import classifier
from experts.errors import ManifestError
from experts.executor import OnFailure, Panel
from experts.guard import guard
from experts.lexical import lexical
from experts.manifest import MANIFEST, Kind, Manifest, read_files, read_manifest
from experts.served import OnnxExpert
from experts.session import Device

# The experts that are shipped.
ZOO: Final = Path(__file__).parent / "zoo"

Loader = Callable[[Manifest, Mapping[str, bytes], Device, int | None], OnnxExpert[Any]]
LOADERS: Final[Mapping[Kind, Loader]] = {"lexical": lexical, "classifier": classifier, "guard": guard}


def names(root: Path = ZOO) -> tuple[str, ...]:
    """The folders of `root` that hold an expert, sorted. ManifestError if `root` is not a folder."""
    if not root.is_dir():
        raise ManifestError(f"{root} is not a folder: name the one that holds the experts' folders")
    return tuple(sorted(path.parent.name for path in root.glob(f"*/{MANIFEST}") if _kind(path) != "backbone"))


class _OfKind(msgspec.Struct):
    kind: str


def _kind(manifest: Path) -> str | None:
    """None if the file does not say: then it is listed, and loading it says what is wrong."""
    try:
        return msgspec.json.decode(manifest.read_bytes(), type=_OfKind).kind
    except (OSError, msgspec.DecodeError):
        return None


def load_expert(folder: Path, device: Device = "auto", threads: int | None = None) -> OnnxExpert[Any]:
    """The expert of a folder, once every file has the sha256 of its manifest; `threads` None means one a core.

    Heads on one backbone share it as long as one of them lives. ManifestError, ModelError or DeviceError, each in one
    line with what to do.
    """
    manifest = read_manifest(folder)
    if manifest.kind == "backbone":
        raise ManifestError(f"{folder} is a backbone, not an expert: name the heads that stand on it")
    files = read_files(folder, manifest)
    if manifest.kind == "head":
        return backbones.head(folder, manifest, files, device, threads)
    return LOADERS[manifest.kind](manifest, files, device, threads)


def load_experts(
    root: Path = ZOO, chosen: Sequence[str] | None = None, device: Device = "auto", threads: int | None = None
) -> list[OnnxExpert[Any]]:
    """The experts of `root` by folder name, in the order given; None means all. ManifestError on a name that is not
    there.
    """
    known = names(root)
    if unknown := [name for name in chosen or () if name not in known]:
        raise ManifestError(f"there is no expert {unknown[0]!r} in {root}, only {', '.join(known) or 'none'}")
    return [load_expert(root / name, device, threads) for name in (known if chosen is None else chosen)]


def load_panel(
    root: Path = ZOO,
    chosen: Sequence[str] | None = None,
    device: Device = "auto",
    threads: int | None = None,
    timeout: float | None = None,
    on_failure: OnFailure | None = None,
) -> Panel:
    """The panel of those experts; `timeout` is in seconds for a batch and an expert. Errors as `load_experts` and
    `Panel` say.
    """
    experts: list[Expert] = list(load_experts(root, chosen, device, threads))
    return Panel(experts, timeout, on_failure)


def fallbacks(experts: Sequence[Expert]) -> dict[str, str]:
    """Expert id to the reason why it does not run on the GPU that `auto` looked for; for a warning and a metric."""
    sessions = {expert.id: expert.session for expert in experts if isinstance(expert, OnnxExpert)}
    return {name: session.fallback for name, session in sessions.items() if session.fallback}
