"""Folders of experts as a whole: how one comes in and goes out while workers look on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from experts.errors import ExportError, ManifestError
from experts.manifest import MANIFEST, PLAIN_NAME, read_manifest

# Folders that come and go are one level deeper than experts, so that nobody takes them for one.
MAKING: Final = ".making"


@contextmanager
def making(root: Path, name: str) -> Iterator[Path]:
    """Yields an empty folder that becomes `root`/`name` if nothing is raised, and vanishes else. ExportError if the
    name is taken or no name for a folder.
    """
    refuse_name(root, name)
    folder = _aside(root, name)
    try:
        yield folder
        folder.chmod(0o755)  # the temporary one is for its owner alone, and the worker may be another user
        refuse_name(root, name)
        folder.rename(root / name)
    finally:
        _clear(root, folder)


def take_away(root: Path, name: str) -> None:
    """Delete an expert's folder; it is gone from under its name before its files go."""
    grave = _aside(root, name)
    try:
        (root / name).rename(grave / name)
    finally:
        _clear(root, grave)


def refuse_name(root: Path, name: str) -> None:
    """ExportError if there is such an expert already, or if the name cannot be one."""
    if not PLAIN_NAME.fullmatch(name):
        raise ExportError(f"{name!r} is no name for an expert: use letters, digits, '.', '_' and '-' (--name)")
    if (root / name).exists():
        raise ExportError(
            f"there is a {name!r} in {root} already: give another --name, or `aegis experts remove {name}`"
        )


def heads_on(root: Path, name: str) -> list[str]:
    """The heads of a folder that stand on a backbone, by name."""
    found = []
    for path in sorted(root.glob(f"*/{MANIFEST}")):
        with suppress(ManifestError):  # a broken neighbour stands on nothing
            backbone = read_manifest(path.parent).backbone
            if backbone is not None and backbone.name == name:
                found.append(path.parent.name)
    return found


def _aside(root: Path, name: str) -> Path:
    try:
        (root / MAKING).mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root / MAKING))
    except OSError as error:
        raise ExportError(f"{root} cannot be written ({error.strerror}): name another with --experts-dir") from error


def _clear(root: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # another export may be at work beside
        (root / MAKING).rmdir()
