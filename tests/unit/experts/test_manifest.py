import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from experts.base import Passage
from experts.errors import ManifestError, ModelError
from experts.manifest import MAX_MANIFEST_BYTES, Label, read_files, read_manifest
from experts.registry import ZOO, load_expert, names
from experts.session import open_session
from support.tiny_onnx import FLOAT, field, node, value


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


def test_a_manifest_without_end_is_not_read_to_its_end(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"[" * (MAX_MANIFEST_BYTES + 1))
    with pytest.raises(ManifestError, match=f"is over {MAX_MANIFEST_BYTES} bytes, which no manifest is"):
        read_manifest(folder)


def test_a_manifest_nested_too_deep_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b'{"manifest":' + b"[" * 500_000)
    with pytest.raises(ManifestError, match="is not a valid manifest"):
        read_manifest(folder)


def test_a_link_out_of_the_folder_is_worth_what_its_sha256_is(folder: Path, tmp_path: Path) -> None:
    """Where a file lies is not checked, what is in it is."""
    outside = tmp_path / "elsewhere.onnx"
    shutil.move(folder / "model.onnx", outside)
    (folder / "model.onnx").symlink_to(outside)
    assert load_expert(folder, "cpu").id.startswith("lexical@")
    outside.write_bytes(outside.read_bytes() + b"x")
    with pytest.raises(ManifestError, match=r"model\.onnx has sha256"):
        load_expert(folder, "cpu")


def test_files_that_the_manifest_does_not_name_are_not_read(folder: Path) -> None:
    os.mkfifo(folder / "extra.onnx")  # whoever opened it would hang
    assert read_files(folder, read_manifest(folder)).keys() == read_manifest(folder).files.keys()
    assert load_expert(folder, "cpu").id.startswith("lexical@")


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin"])
def test_a_model_that_keeps_weights_in_a_file_nobody_checked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    """ONNX can name files beside the model; ONNX Runtime must not find them where the process happens to stand."""
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path, tmp_path.parent):
        (place / "weights.bin").write_bytes(b"\0" * 16)
    entry = field(13, field(1, "location") + field(2, location))
    weights = field(1, 4) + field(2, FLOAT) + field(8, "w") + entry + field(14, 1)
    graph = field(1, node("Add", ("x", "w"), "y")) + field(2, "g") + field(5, weights)
    graph += field(11, value("x", FLOAT, 4)) + field(12, value("y", FLOAT, 4))
    model = field(1, 9) + field(7, graph) + field(8, field(1, "") + field(2, 17))
    with pytest.raises(ModelError, match=r"the model cannot be loaded \(") as refused:
        open_session(model, "the model", "cpu")
    assert "xternal" in str(refused.value) or "model_path" in str(refused.value)
