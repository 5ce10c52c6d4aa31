"""An expert's `manifest.json`: read strictly, and every file checked against its sha256 before a byte of it is used."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from experts.calibration import Calibration
from experts.errors import ManifestError

MANIFEST: Final = "manifest.json"
VERSION: Final = 2
MAX_MANIFEST_BYTES: Final = 1 << 20
"""The largest of ours has 3 kB, with a hundred labels it would have 10."""
Kind = Literal["lexical", "classifier", "head", "backbone", "guard"]
# What an expert of a kind cannot do without; other files may stand beside them.
FILES: Final[Mapping[Kind, frozenset[str]]] = {
    "lexical": frozenset({"model.onnx", "tokenizer.json", "characters.json"}),
    "classifier": frozenset({"model.onnx", "tokenizer.json"}),
    "backbone": frozenset({"model.onnx", "tokenizer.json"}),
    "head": frozenset({"model.onnx"}),
    "guard": frozenset({"model.onnx", "tokenizer.json", "guard.json"}),
}
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Reads(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a turn the expert reads; it abstains on turns of other roles."""

    roles: tuple[Word, ...]
    history: bool
    max_tokens: Count


class Platt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of `experts.calibration.Calibration`."""

    scale: float
    bias: float


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data set, or weights, that the expert was made from."""

    name: str
    licence: str


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One output column of the model: the name that the model's makers gave it, and what it means here: `unsafe`,
    `safe`, `none` (nothing that moderation asks for) or a risk of `experts.taxonomy.RISKS`.
    """

    name: str
    means: Word


class Backbone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The encoder that a head stands on: its folder's name, beside the head's, and the sha256 of its manifest."""

    name: Word
    sha256: Sha256


class Tokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Token ids that the code must know."""

    pad: Annotated[int, msgspec.Meta(ge=0)] = 0


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a folder holds. `manifest` is the version of this form; `labels` are the model's output columns in order.

    `outputs` says how columns become probabilities: each by itself (`sigmoid`) or all against each other (`softmax`).
    The logit of unsafe is, of `sigmoid` columns, the one that means `unsafe`, else the largest that means a risk; of
    `softmax` columns, the log-sum-exp of those that mean `unsafe` or a risk minus that of all others.
    """

    manifest: Literal[2]
    name: Word
    version: Word
    kind: Kind
    summary: str
    files: dict[str, Sha256]
    reads: Reads
    calibration: Platt
    labels: tuple[Label, ...]
    tokens: Tokens
    licence: str
    sources: tuple[Source, ...]
    outputs: Literal["sigmoid", "softmax"] = "sigmoid"
    backbone: Backbone | None = None

    @property
    def id(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    def calibrate(self) -> Calibration:
        """The calibration to use. ValueError if its numbers make no sense."""
        return Calibration(self.calibration.scale, self.calibration.bias)


class _Versioned(msgspec.Struct):
    manifest: int


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an expert's folder. ManifestError, in one line, if there is none or it is not of this version's
    form.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}): name a folder that holds an expert") from error
    if len(raw) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"{path} is over {MAX_MANIFEST_BYTES} bytes, which no manifest is; {mend(folder)}")
    try:
        version = msgspec.json.decode(raw, type=_Versioned).manifest
        if version != VERSION:
            raise ManifestError(
                f"{path} is of form {version}, this version reads {VERSION}: upgrade, or export the expert again"
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
        manifest.calibrate()
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ManifestError(f"{path} is not a valid manifest: {error}; {mend(folder)}") from error
    if odd := [name for name in manifest.files if not PLAIN_NAME.fullmatch(name)]:
        raise ManifestError(f"{path} names the file {odd[0]!r}, which is not a plain file name; {mend(folder)}")
    if missing := FILES[manifest.kind] - manifest.files.keys():
        raise ManifestError(f"{path} lacks the sha256 of {sorted(missing)[0]}; {mend(folder)}")
    return manifest


def read_files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Every file of the manifest, read once: what was checked is what is used. ManifestError if one is missing or
    altered.
    """
    contents = {}
    for name, expected in manifest.files.items():
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise ManifestError(f"{folder / name} cannot be read ({error.strerror}); {mend(folder)}") from error
        actual = hashlib.sha256(contents[name]).hexdigest()
        if actual != expected:
            raise ManifestError(
                f"{folder / name} has sha256 {actual[:12]}…, its manifest says {expected[:12]}…: "
                f"it is damaged or was changed; {mend(folder)}"
            )
    return contents


def mend(folder: Path) -> str:
    """What brings an expert's folder back."""
    return f"restore it with `git checkout -- {folder}`, or export the expert again"
