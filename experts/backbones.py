"""Heads and the backbones that they stand on: a backbone that is loaded already is shared, so that it runs once."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from experts.classifier import encoder
from experts.errors import ManifestError, ModelError
from experts.manifest import MANIFEST, Manifest, mend, read_files, read_manifest
from experts.served import FEATURES, OnnxExpert
from experts.session import Device, Session
from experts.trunk import Trunk

# By the sha256 of its manifest, which holds those of its files: what is loaded is what would be loaded again. It is
# forgotten with the last head on it.
_loaded: Final[weakref.WeakValueDictionary[tuple[str, Device, int | None], Trunk[Any]]] = weakref.WeakValueDictionary()
_loading: Final = threading.Lock()


def head(
    folder: Path, manifest: Manifest, files: Mapping[str, bytes], device: Device, threads: int | None
) -> OnnxExpert[Any]:
    """The head of a checked folder, on the backbone that stands beside it.

    ManifestError if that is not the backbone that the head was trained on; ModelError if the two do not fit. The head
    itself runs on the CPU: it is too small to be worth a copy to a GPU.
    """
    session = Session(files["model.onnx"], f"the model of {manifest.id}", {FEATURES}, "cpu", 1)
    trunk = backbone(folder, manifest, device, threads)
    if None not in (session.takes, trunk.session.width) and session.takes != trunk.session.width:
        raise ModelError(
            f"{manifest.id} reads {session.takes} features, its backbone {trunk.name} gives {trunk.session.width}: "
            "export the head again"
        )
    return OnnxExpert(manifest, trunk, session)


def backbone(folder: Path, manifest: Manifest, device: Device, threads: int | None) -> Trunk[Any]:
    """The backbone of a head, the same object for all that live at one time. ManifestError as `head` says."""
    if manifest.backbone is None:
        raise ManifestError(f"{folder / MANIFEST} names no backbone, which a head stands on; {mend(folder)}")
    home = folder.parent / manifest.backbone.name
    found = read_manifest(home)
    if found.kind != "backbone":
        raise ManifestError(f"{home} is of kind {found.kind}, but the head {manifest.id} stands on it; {mend(folder)}")
    digest = hashlib.sha256((home / MANIFEST).read_bytes()).hexdigest()
    if digest != manifest.backbone.sha256:
        raise ManifestError(
            f"{home / MANIFEST} has sha256 {digest[:12]}…, the head {manifest.id} was trained on "
            f"{manifest.backbone.sha256[:12]}…: it would read other features than it learned; {mend(home)}"
        )
    key = digest, device, threads
    with _loading:
        trunk = _loaded.get(key)
        if trunk is None:
            trunk = _loaded[key] = encoder(found, read_files(home, found), device, threads)
        return trunk
