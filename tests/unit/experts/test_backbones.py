"""Folders of heads and backbones, and classifiers of several columns, as they are loaded and served."""

from __future__ import annotations

import gc
import hashlib
import shutil
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from experts.base import ABSTAINED, OK, Passage
from experts.classifier import ClassifierReader, Tokens
from experts.errors import ManifestError, ModelError
from experts.manifest import MANIFEST, Backbone, Platt, Reads
from experts.registry import load_expert, load_panel, names
from experts.taxonomy import INDEX
from experts.tokenization import open_tokenizer
from support import folders
from support.folders import backbone, encoder, features, head, matrix, tokenizer, write
from support.trunks import users

pytestmark = pytest.mark.train

TEXTS = ("how is the old dog", "kill you", "a good cat to you", "word " * 12, "turn")


def heads(root: Path, **reads: Any) -> None:
    """A backbone and two heads on it, `one` and `replies`."""
    base = backbone(root, **reads)
    write(root / "one", "head", {"model.onnx": head(seed=1)}, backbone=base)
    only = Reads(("assistant",), True, 16)
    write(root / "replies", "head", {"model.onnx": head(seed=2)}, backbone=base, reads=only)


def test_a_backbone_is_not_listed_among_the_experts_and_cannot_be_asked(tmp_path: Path) -> None:
    heads(tmp_path)
    assert names(tmp_path) == ("one", "replies")
    with pytest.raises(ManifestError, match="encoder is a backbone, not an expert: name the heads"):
        load_expert(tmp_path / "encoder", "cpu")
    with pytest.raises(ManifestError, match=r"no expert 'encoder' in .*, only one, replies"):
        load_panel(tmp_path, ["encoder"], "cpu")


def test_a_folder_whose_manifest_is_damaged_is_listed_so_that_loading_it_says_why(tmp_path: Path) -> None:
    (write(tmp_path / "one", "head", {}) / MANIFEST).write_text("{")
    assert names(tmp_path) == ("one",)


def test_heads_give_what_their_matrix_makes_of_the_backbones_features(tmp_path: Path) -> None:
    heads(tmp_path)
    panel = load_panel(tmp_path, device="cpu")
    try:
        advice = panel.advise([Passage(role, text) for text in TEXTS for role in ("user", "assistant")])
    finally:
        panel.close()
    one, replies = (features(TEXTS) @ matrix(seed=seed)[:, 0] for seed in (1, 2))
    assert advice.status.tolist() == [[OK, ABSTAINED], [OK, OK]] * len(TEXTS)
    assert advice.scores[::2, 0] == pytest.approx(1 / (1 + np.exp(-one)), abs=1e-6)
    assert advice.scores[1::2, 0] == pytest.approx(1 / (1 + np.exp(-one)), abs=1e-6)
    assert advice.scores[1::2, 1] == pytest.approx(1 / (1 + np.exp(-replies)), abs=1e-6)


def test_a_head_gives_the_same_asked_by_itself_and_through_a_panel(tmp_path: Path) -> None:
    heads(tmp_path)
    one = load_expert(tmp_path / "one", "cpu")
    panel = load_panel(tmp_path, ["one"], "cpu")
    try:
        assert panel.advise(users(*TEXTS)).scores[:, 0] == pytest.approx(one.advise(users(*TEXTS)), abs=1e-6)
    finally:
        panel.close()


def test_heads_share_one_backbone_as_long_as_one_of_them_lives(tmp_path: Path) -> None:
    heads(tmp_path)
    one, replies = (load_expert(tmp_path / name, "cpu") for name in ("one", "replies"))
    trunk = one.trunk
    assert replies.trunk is trunk
    del one, replies
    assert load_expert(tmp_path / "one", "cpu").trunk is trunk
    forgotten = weakref.ref(trunk)
    del trunk
    gc.collect()
    assert forgotten() is None


def test_a_backbone_decides_what_its_heads_read(tmp_path: Path) -> None:
    heads(tmp_path, reads=Reads(("assistant",), True, 16))
    with_prompt, without = (Passage("assistant", "you", history) for history in ((("user", "kill you"),), ()))
    one = load_expert(tmp_path / "one", "cpu")
    assert np.isnan(one.advise(users("you"))).all()
    assert one.advise([with_prompt])[0] != one.advise([without])[0]


def test_a_head_without_its_backbone_is_refused(tmp_path: Path) -> None:
    heads(tmp_path)
    shutil.rmtree(tmp_path / "encoder")
    with pytest.raises(ManifestError, match=r"encoder/manifest.json cannot be read"):
        load_expert(tmp_path / "one", "cpu")


def test_a_head_on_another_backbone_than_it_was_trained_on_is_refused(tmp_path: Path) -> None:
    heads(tmp_path)
    shutil.rmtree(tmp_path / "encoder")
    backbone(tmp_path, model=encoder(seed=5))
    with pytest.raises(ManifestError, match=r"the head one@1 was trained on .*: it would read other features"):
        load_expert(tmp_path / "one", "cpu")


def test_a_backbone_whose_model_was_changed_is_refused(tmp_path: Path) -> None:
    heads(tmp_path)
    (tmp_path / "encoder" / "model.onnx").write_bytes(encoder(seed=5))
    with pytest.raises(ManifestError, match=r"encoder/model.onnx has sha256"):
        load_expert(tmp_path / "one", "cpu")


def test_a_head_that_names_no_backbone_or_an_expert_is_refused(tmp_path: Path) -> None:
    files = {"model.onnx": encoder(1), "tokenizer.json": tokenizer()}
    expert = write(tmp_path / "expert", "classifier", files)
    write(tmp_path / "lone", "head", {"model.onnx": head()})
    on_it = Backbone("expert", hashlib.sha256((expert / MANIFEST).read_bytes()).hexdigest())
    write(tmp_path / "wrong", "head", {"model.onnx": head()}, backbone=on_it)
    with pytest.raises(ManifestError, match="names no backbone"):
        load_expert(tmp_path / "lone", "cpu")
    with pytest.raises(ManifestError, match="is of kind classifier, but the head wrong@1 stands on it"):
        load_expert(tmp_path / "wrong", "cpu")


def test_a_head_of_another_width_than_its_backbone_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "wide", "head", {"model.onnx": head(features=9)}, backbone=backbone(tmp_path))
    with pytest.raises(ModelError, match="wide@1 reads 9 features, its backbone encoder@1 gives 8"):
        load_expert(tmp_path / "wide", "cpu")


def test_a_model_with_another_number_of_outputs_than_labels_is_refused(tmp_path: Path) -> None:
    files = {"model.onnx": encoder(3), "tokenizer.json": tokenizer()}
    folder = write(tmp_path / "one", "classifier", files, ("unsafe", "safe"))
    with pytest.raises(ModelError, match="one@1 has 3 outputs, its manifest 2 labels"):
        load_expert(folder, "cpu")


def test_a_label_of_unknown_meaning_is_refused_at_load(tmp_path: Path) -> None:
    files = {"model.onnx": encoder(2), "tokenizer.json": tokenizer()}
    folder = write(tmp_path / "one", "classifier", files, ("unsafe", "toxic_waste"))
    with pytest.raises(ManifestError, match=r"'toxic_waste'.*write one of unsafe, safe, none, hate"):
        load_expert(folder, "cpu")


@pytest.mark.parametrize("types", [True, False])
@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_a_classifier_of_several_columns_has_opinions_on_risks_with_and_without_token_types(
    tmp_path: Path, types: bool, kind: str
) -> None:
    files = {"model.onnx": encoder(3, types), "tokenizer.json": tokenizer()}
    means = ("safe", "unsafe", "violence")
    folder = write(tmp_path / "three", "classifier", files, means, outputs=kind, calibration=Platt(0.5, 0.25))
    said = load_expert(folder, "cpu").opine([*users(*TEXTS), Passage("narrator", "you")])
    logits = logits_of(TEXTS, types)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    unsafe = logits[:, 1] if kind == "sigmoid" else np.log((shares[:, 1] + shares[:, 2]) / shares[:, 0])
    violence = 1 / (1 + np.exp(-logits[:, 2])) if kind == "sigmoid" else shares[:, 2]
    assert said.risks is not None
    assert said.scores[:-1] == pytest.approx(1 / (1 + np.exp(-(0.5 * unsafe + 0.25))), abs=1e-5)
    assert said.risks[:-1, INDEX["violence"]] == pytest.approx(violence, abs=1e-5)
    assert np.isnan(said.scores[-1])
    assert np.isnan(said.risks[-1]).all()


def logits_of(texts: Sequence[str], types: bool) -> npt.NDArray[np.float64]:
    draws = np.random.default_rng(0)
    draws.normal(size=(len(folders.WORDS), folders.FEATURES_OF_A_TOKEN))
    draws.normal(size=(2, folders.FEATURES_OF_A_TOKEN))
    return features(texts, types) @ draws.normal(size=(folders.FEATURES_OF_A_TOKEN, 3))


def test_rows_are_padded_with_the_id_of_the_manifest_and_masked() -> None:
    reader = ClassifierReader(open_tokenizer(tokenizer(), None, "it"), 16, False, 9, types=False)
    feeds = reader.feeds([Tokens((2, 5, 3), (0, 0, 0)), Tokens((2, 3), (0, 0))])
    assert {name: values.tolist() for name, values in feeds.items()} == {
        "input_ids": [[2, 5, 3], [2, 3, 9]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
    }


def test_a_model_with_inputs_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", "classifier", {"model.onnx": head(), "tokenizer.json": tokenizer()})
    with pytest.raises(ModelError, match=r"inputs \['features'\] and 1 outputs, its kind needs .*, may have"):
        load_expert(folder, "cpu")
