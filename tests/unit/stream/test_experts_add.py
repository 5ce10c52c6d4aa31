"""`aegis experts add`, as it is typed. Needs the extra `train`."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from experts.manifest import read_manifest
from stream.__main__ import cli
from support import guards, tiny_models

pytestmark = pytest.mark.train
REASON = "needs the extra `train`: make setup-train"
# Imported here, where no test waits for it: that takes most of the time.
pytest.importorskip("optimum.exporters.onnx", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)
pytest.importorskip("transformers", reason=REASON)


def run(*words: Any) -> Result:
    return CliRunner().invoke(cli, ["experts", *map(str, words)])


def test_a_classifier_is_added_calibrated_and_then_listed(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model", "distilbert")
    lines = [
        {"text": f"{word} number {place}", "unsafe": (len(word) + place) % 2 == 0}
        for place in range(20)
        for word in ("a word", "the weather", "garden", "clocks and bread")
    ]
    # What a random model says of these is chance: the label map has its columns the way that fits them.
    data = tmp_path / "turns.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    outcomes = []
    for safe, unsafe in (("safe", "unsafe"), ("unsafe", "safe")):
        labels = tmp_path / "labels.json"
        labels.write_text(json.dumps({"safe": safe, "unsafe": unsafe}))
        root = tmp_path / safe
        shown = run(
            "add", tmp_path / "model", "--experts-dir", root, "--labels", labels, "--data", data, "--roles", "user"
        )
        outcomes.append(shown.exit_code)
        if shown.exit_code == 0:
            manifest = read_manifest(root / "model")
            assert "aegis experts shadow model" in shown.stdout
            assert manifest.reads.roles == ("user",)
            assert manifest.calibration.scale > 0
            assert "| 80 | 40 |" in (root / "model" / "README.md").read_text()
            assert "distilbert" not in (root / "model" / "README.md").read_text()
        else:
            assert "unsafe turns score lower than safe ones" in shown.output
            assert list(root.iterdir()) == []
    assert sorted(outcomes) == [0, 10]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--roles", "user,nobody"), "'nobody' is no role"),
        (("--lora", "somewhere"), "--lora merges adapters into a guard"),
        (("--data", "nowhere.jsonl"), "nowhere.jsonl is no file"),
        (("--max-tokens", "4000"), "reads at most 64 tokens"),
    ],
)
def test_what_cannot_be_added_leaves_nothing_behind(tmp_path: Path, more: tuple[str, ...], reason: str) -> None:
    tiny_models.classifier(tmp_path / "model")
    shown = run("add", tmp_path / "model", "--experts-dir", tmp_path / "root", *more)
    assert shown.exit_code != 0
    assert reason in shown.output
    assert not list((tmp_path / "root").rglob("*"))


def test_labels_that_say_nothing_are_refused_with_the_file_to_write(tmp_path: Path) -> None:
    tiny_models.classifier(tmp_path / "model", labels=("LABEL_0", "LABEL_1"))
    shown = run("add", tmp_path / "model", "--experts-dir", tmp_path / "root")
    assert shown.exit_code == 10
    assert "nothing is known of the meaning of 'LABEL_0', 'LABEL_1'" in shown.output


def test_a_language_model_is_added_as_a_guard_if_it_gives_verdicts(tmp_path: Path) -> None:
    tokenizer, model = guards.byte_level(), guards.causal_model()
    said = [tokenizer.encode(word).ids[0] for word in ("safe", "unsafe")]
    where = ("add", tmp_path / "model", "--experts-dir", tmp_path / "root", "--precision", "fp32", "--max-tokens", "32")
    guards.save_guard(tmp_path / "model", model, tokenizer)
    silent = run(*where)
    assert silent.exit_code == 10
    assert "gives no verdict on any of" in silent.output
    assert not list((tmp_path / "root").iterdir())
    with torch.no_grad():  # all other answers are 0 now, and of these two one is above it
        row = model.lm_head.weight[said[0]].clone()
        model.lm_head.weight.zero_()
        model.lm_head.weight[said[0]], model.lm_head.weight[said[1]] = row, -row
    guards.save_guard(tmp_path / "model", model, tokenizer)
    shown = run(*where)
    assert shown.exit_code == 0, shown.output
    manifest = read_manifest(tmp_path / "root" / "model")
    assert (manifest.kind, manifest.reads.roles) == ("guard", ("user", "assistant"))
    assert "a text has the same score alone" in shown.stdout
