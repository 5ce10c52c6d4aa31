"""The disk of a worker's state: a small one of its own that can be filled, and bytes that change while nobody looks."""

from __future__ import annotations

import random
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

SIZE: Final = "48m"
"""Of a worker's disk: far more than a run's state."""
FILLER: Final = "filler"
CHUNK: Final = bytes(1 << 16)


def mount(folder: Path) -> bool:
    """Give this folder a disk of its own; False where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def unmount(folder: Path) -> None:
    """What stood there is gone."""
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=True)


def fill(folder: Path) -> None:
    """Leave not one byte."""
    with (folder / FILLER).open("ab", buffering=0) as filler, suppress(OSError):
        while filler.write(CHUNK):
            pass


def clear(folder: Path) -> None:
    """Room again."""
    (folder / FILLER).unlink(missing_ok=True)


def corrupt(folder: Path, rng: random.Random) -> int:
    """Flip bytes in the files of one kind, as a dying disk does; returns in how many. 0: nothing was there yet."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    kinds = [[f for f in files if f.suffix == ".sst"], [f for f in files if f.name.startswith("MANIFEST")]]
    chosen = rng.choice([kind for kind in kinds if kind] or [[]])
    for path in chosen:
        data = bytearray(path.read_bytes())
        for _ in range(8):
            data[rng.randrange(len(data))] ^= 0xFF
        path.write_bytes(data)
    return len(chosen)
