import json
from pathlib import Path
from typing import Any

import pytest

from experts.errors import ExportError
from experts.export.origin import inspect


def saved(folder: Path, architecture: str | None = "BertForSequenceClassification", *files: str) -> Path:
    named = {} if architecture is None else {"architectures": [architecture]}
    (folder / "config.json").write_text(json.dumps(named))
    for name in files:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("DebertaV2ForSequenceClassification", "classifier"),
        ("LlamaForCausalLM", "guard"),
        ("GPT2LMHeadModel", "guard"),
    ],
)
def test_the_architecture_says_what_a_model_can_become(tmp_path: Path, architecture: str, kind: str) -> None:
    assert inspect(saved(tmp_path, architecture, "model.safetensors", "tokenizer.json")).kind == kind


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "BertModel", None])
def test_a_model_that_is_neither_classifier_nor_language_model_is_refused_by_what_it_is(
    tmp_path: Path, architecture: str | None
) -> None:
    with pytest.raises(ExportError, match=rf"holds {architecture or 'nothing'}.*only classifiers"):
        inspect(saved(tmp_path, architecture, "model.safetensors", "tokenizer.json"))


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"holds no model: its config\.json cannot be read"):
        inspect(tmp_path)


@pytest.mark.parametrize(("content", "reason"), [("{", "is not JSON"), ("[]", "holds no JSON object")])
def test_a_broken_config_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ExportError, match=reason):
        inspect(tmp_path)


def test_weights_in_a_pickle_file_are_refused_since_they_can_run_code(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no \*\.safetensors \(weights in pickle files can run code"):
        inspect(saved(tmp_path, "BertForSequenceClassification", "pytorch_model.bin", "tokenizer.json"))


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"holds no tokenizer\.json"):
        inspect(saved(tmp_path, "BertForSequenceClassification", "model.safetensors"))


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model", "apache-2.0"),
        ("# A model", "not stated"),
        ("---\nlicense:\n- mit\n", "not stated"),
        (None, "not stated"),
    ],
)
def test_the_licence_is_that_of_the_model_s_own_card(tmp_path: Path, card: Any, expected: str) -> None:
    origin = inspect(saved(tmp_path, "BertForSequenceClassification", "model.safetensors", "tokenizer.json"))
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert origin.licence() == expected
