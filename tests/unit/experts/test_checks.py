"""What `aegis experts verify` finds: every way in which a folder can be bad, with its reason."""

from pathlib import Path

import numpy as np
import pytest

from experts.checks import check
from experts.errors import ManifestError, ModelError
from experts.registry import load_expert
from support import tiny_onnx


def found(folder: Path) -> list[str]:
    return list(check(folder))


def test_a_sound_expert_passes_every_check(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    lines = list(check(tiny_onnx.write(tmp_path / "sound"), say=lambda *step: steps.append(step)))
    assert [line.split()[0] for line in lines] == ["2", "the", "it", "a"]
    assert {what for what, _, _ in steps} == {"scoring neutral texts", "scoring texts one by one"}
    for what in {what for what, _, _ in steps}:
        of_it = [(count, total) for name, count, total in steps if name == what]
        assert {sum(count for count, _ in of_it)} == {total for _, total in of_it}


def test_a_sound_backbone_is_checked_without_being_asked_for_advice(tmp_path: Path) -> None:
    lines = found(
        tiny_onnx.write(tmp_path / "encoder", means=(), content=tiny_onnx.model(tiny_onnx.table(4)), kind="backbone")
    )
    assert len(lines) == 2


def test_a_folder_without_a_manifest_is_no_expert(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json cannot be read .*name a folder that holds an expert"):
        found(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = tiny_onnx.write(tmp_path / "x")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ManifestError, match=r"tokenizer\.json cannot be read"):
        found(folder)


def test_a_file_with_another_sha256_is_refused(tmp_path: Path) -> None:
    folder = tiny_onnx.write(tmp_path / "x")
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b"\0")
    with pytest.raises(ManifestError, match=r"model\.onnx has sha256 .*its manifest says"):
        found(folder)


@pytest.mark.parametrize("content", [b"", b"not a model", tiny_onnx.model(tiny_onnx.table())[:-7]])
def test_a_corrupt_onnx_file_is_refused_when_it_is_loaded(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ModelError, match=r"the model of x@1 cannot be loaded \(.*export it again"):
        found(tiny_onnx.write(tmp_path / "x", content))


def test_a_tokenizer_with_more_tokens_than_the_model_embeds_is_refused(tmp_path: Path) -> None:
    small = tiny_onnx.model(tiny_onnx.table(tokens=9))
    with pytest.raises(ModelError, match=rf"ids up to {len(tiny_onnx.WORDS) - 1}.*do not belong together"):
        found(tiny_onnx.write(tmp_path / "x", small))


def test_a_worker_refuses_such_a_tokenizer_when_it_loads_the_expert(tmp_path: Path) -> None:
    folder = tiny_onnx.write(tmp_path / "x", tiny_onnx.model(tiny_onnx.table(tokens=9)))
    with pytest.raises(ModelError, match="do not belong together; export the expert again"):
        load_expert(folder, "cpu")


def test_a_backbone_is_held_to_its_tokenizer_too(tmp_path: Path) -> None:
    small = tiny_onnx.model(tiny_onnx.table(4, tokens=9))
    with pytest.raises(ModelError, match="do not belong together"):
        found(tiny_onnx.write(tmp_path / "x", small, means=(), kind="backbone"))


def test_a_label_that_means_an_unknown_risk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"'label 1' means 'rudeness'.*write one of unsafe, safe, none, hate"):
        found(tiny_onnx.write(tmp_path / "x", means=("unsafe", "rudeness")))


def test_a_model_with_more_outputs_than_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="3 outputs, its manifest 1 labels"):
        found(tiny_onnx.write(tmp_path / "x", tiny_onnx.model(tiny_onnx.table(3))))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_gives_no_numbers_is_refused(tmp_path: Path, value: float) -> None:
    table = tiny_onnx.table()
    table[1:] = value
    with pytest.raises(ModelError, match=r"x@1 gives NaN or infinity on (\d+) of \1 neutral texts"):
        found(tiny_onnx.write(tmp_path / "x", tiny_onnx.model(table)))


def test_a_model_whose_scores_depend_on_the_other_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"another score \(by .*when other texts stand beside it"):
        found(tiny_onnx.write(tmp_path / "x", tiny_onnx.model(tiny_onnx.table(), beside=True)))
