import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from experts.base import Passage
from experts.errors import ManifestError, ModelError
from experts.manifest import Label, read_files, read_manifest
from experts.registry import ZOO, load_expert, names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped lexical expert, to be spoilt."""
    return Path(shutil.copytree(ZOO / "lexical", tmp_path / "lexical"))


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_manifest_says_what_the_expert_is_and_where_it_comes_from() -> None:
    manifest = read_manifest(ZOO / "lexical")
    assert manifest.id == f"lexical@{manifest.version}"
    assert manifest.labels == (Label("unsafe", "unsafe"),)
    assert {"user", "assistant", "system"} == set(manifest.reads.roles)
    assert all(source.licence for source in manifest.sources)


def test_every_file_has_the_sha256_of_the_manifest() -> None:
    for name in ("encoder", *names(ZOO)):
        manifest = read_manifest(ZOO / name)
        contents = read_files(ZOO / name, manifest)
        assert {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()} == manifest.files


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "characters.json"])
def test_a_changed_file_is_refused_before_it_is_used(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    expected = read_manifest(folder).files[name][:12]
    actual = hashlib.sha256(content).hexdigest()[:12]
    with pytest.raises(ManifestError, match=f"{name} has sha256 {actual}.* manifest says {expected}.*git checkout"):
        load_expert(folder, "cpu")


def test_a_missing_file_is_refused_by_name(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    with pytest.raises(ManifestError, match=r"model\.onnx cannot be read \(No such file"):
        load_expert(folder, "cpu")


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json cannot be read .*: name a folder that holds an expert"):
        load_expert(tmp_path)


def test_a_manifest_of_an_unknown_form_is_refused_whatever_else_is_in_it(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"manifest": 3, "new": true}')
    with pytest.raises(ManifestError, match="is of form 3, this version reads 2: upgrade"):
        load_expert(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"manifest": "1"}', '{"name": "x"}', "\ufeff{}"])
def test_what_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match="is not a valid manifest"):
        load_expert(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"colour": "red"}, "unknown field `colour`"),
        ({"kind": "oracle"}, "Invalid enum value 'oracle'"),
        ({"name": "a b"}, "matching regex"),
        ({"name": "../x"}, "matching regex"),
        ({"files": {"model.onnx": "abc"}}, "matching regex"),
        ({"reads": {"roles": ["user"], "history": "no", "max_tokens": 8}}, "Expected `bool`"),
        ({"reads": {"roles": ["user"], "history": False, "max_tokens": 0}}, "Expected `int` >= 1"),
        ({"calibration": {"scale": -1.0, "bias": 0.0}}, "positive scale"),
        ({"calibration": {"scale": 1.0}}, "missing required field `bias`"),
        ({"labels": "unsafe"}, "Expected `array`"),
    ],
)
def test_a_wrong_field_is_refused_with_the_reason(folder: Path, changes: dict[str, Any], reason: str) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ManifestError, match=re.escape(reason)) as refusal:
        load_expert(folder)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b", ".hidden"])
def test_a_file_outside_the_folder_is_refused(folder: Path, name: str) -> None:
    rewrite(folder, files=read_manifest(folder).files | {name: "0" * 64})
    with pytest.raises(ManifestError, match="not a plain file name"):
        load_expert(folder)


def test_a_manifest_that_leaves_a_file_of_its_kind_unchecked_is_refused(folder: Path) -> None:
    files = read_manifest(folder).files
    rewrite(folder, files={name: digest for name, digest in files.items() if name != "characters.json"})
    with pytest.raises(ManifestError, match=r"lacks the sha256 of characters\.json"):
        load_expert(folder)


def test_a_model_of_another_kind_is_refused_with_the_inputs_it_has(folder: Path) -> None:
    rewrite(folder, kind="classifier")
    with pytest.raises(ModelError, match=r"has the inputs \['characters', 'words'\].*correct `kind`"):
        load_expert(folder, "cpu")


def test_a_model_that_is_no_onnx_file_is_refused(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a model")
    rewrite(folder, files=read_manifest(folder).files | {"model.onnx": hashlib.sha256(b"not a model").hexdigest()})
    with pytest.raises(ModelError, match=r"the model of lexical@.* cannot be loaded .*: export it again") as refusal:
        load_expert(folder, "cpu")
    assert "\n" not in str(refusal.value)


def test_an_expert_abstains_on_turns_of_roles_that_it_does_not_read(folder: Path) -> None:
    rewrite(folder, reads={"roles": ["assistant"], "history": False, "max_tokens": 64})
    scores = load_expert(folder, "cpu").advise([Passage("user", "hello"), Passage("assistant", "hello")])
    assert [score == score for score in scores] == [False, True]
