"""A guard of two layers learns with LoRA."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from experts.base import Passage
from experts.errors import ExportError, TrainingError
from experts.guard_prompt import Prompt, read_prompt
from experts.registry import load_expert
from experts.train.turns import Lesson, calls_unsafe, read_lessons
from support.guards import byte_level, causal_model, save_guard

REASON = "needs the extra `train`: make setup-train"
VOTES = (
    {"text": "good morning", "text_type": "user_message", "labels_0": "Safe", "labels_1": "Safe", "labels_2": "Safe"},
    {"text": "zzz zzz", "text_type": "user_message", "labels_0": "Violence, Threat", "labels_1": "Harassment"},
    {"text": "hm", "text_type": "user_message", "labels_0": "Needs Caution", "labels_1": "Safe", "labels_2": ""},
    {"text": "zzz", "text_type": "llm_response", "labels_0": "Needs Caution", "labels_1": "Profanity"},
)


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_the_share_of_annotators_that_call_a_turn_unsafe_depends_on_the_reading(tmp_path: Path) -> None:
    file = write(tmp_path / "aegis.jsonl", VOTES)
    assert [lesson.unsafe for lesson in read_lessons(file, "permissive")] == [0.0, 1.0, 0.0, 0.5]
    assert [lesson.unsafe for lesson in read_lessons(file, "defensive")] == [0.0, 1.0, 0.5, 1.0]
    assert read_lessons(file, "permissive")[3].passage == Passage("assistant", "zzz")


def test_a_folder_of_sets_is_read_with_its_conversations(tmp_path: Path) -> None:
    turns = [{"role": "user", "text": "a"}, {"role": "assistant", "text": "b"}]
    rows = [
        {"turns": turns, "target": "assistant", "unsafe": 1, "categories": []},
        {"turns": turns, "target": "user", "unsafe": 0, "categories": []},
    ]
    write(tmp_path / "train" / "diasafety" / "data.jsonl.gz", rows)
    assert read_lessons(tmp_path, "permissive") == [
        Lesson(Passage("assistant", "b", (("user", "a"),)), 1.0),
        Lesson(Passage("user", "a"), 0.0),
    ]


@pytest.mark.parametrize("row", [{"text": "x", "labels_0": "Nonsense"}, {"turns": []}, [1]])
def test_a_line_that_is_no_labelled_turn_is_named(tmp_path: Path, row: Any) -> None:
    file = write(tmp_path / "aegis.jsonl", [VOTES[0], row])
    with pytest.raises(TrainingError, match=r"aegis\.jsonl, line 2: not a labelled turn"):
        read_lessons(file, "permissive")


def test_data_that_teaches_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="both safe and unsafe"):
        read_lessons(write(tmp_path / "aegis.jsonl", VOTES[:1]), "permissive")
    with pytest.raises(TrainingError, match="is no file and holds no"):
        read_lessons(tmp_path / "nowhere", "permissive")


def test_a_risk_beside_needs_caution_is_unsafe_on_both_readings() -> None:
    assert calls_unsafe("Needs Caution, Violence", "permissive")
    assert not calls_unsafe("Needs Caution", "permissive")
    assert calls_unsafe("Needs Caution", "defensive")
    assert not calls_unsafe("Safe", "defensive")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    torch = pytest.importorskip("torch", reason=REASON)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield save_guard(tmp_path_factory.mktemp("base"), causal_model(), byte_level())
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {"text": f"{word} {letter}", "text_type": "user_message", "labels_0": label}
        for letter in "abcdefgh"
        for word, label in (("morning", "Safe"), ("zzz", "Violence"))
    ]
    return write(tmp_path_factory.mktemp("data") / "aegis.jsonl.gz", rows)


def teach(base: Path, data: Path, out: Path, **changes: Any) -> Path:
    from experts.train.guard import Recipe, train_guard

    made: dict[str, Any] = {"epochs": 2, "rows_per_step": 4, "learning_rate": 1e-2, "rank": 4, "max_tokens": 32}
    recipe = Recipe(**made | changes)
    train_guard(base, data, out, recipe=recipe, policy="O1: Violence.", work=out.parent / "work")
    return out


def prompt_of(folder: Path) -> Prompt:
    return read_prompt((folder / "guard.json").read_bytes(), "guard.json")


def adapters(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    found: dict[str, np.ndarray] = load_file(folder / "adapter_model.safetensors")
    return found


@pytest.mark.train
def test_a_guard_learns_to_answer_with_the_verdicts(base: Path, data: Path, tmp_path: Path) -> None:
    from experts.export.guard import add_guard

    lora = teach(base, data, tmp_path / "lora", epochs=12)
    add_guard(base, tmp_path / "guard", name="guard", lora=lora, texts=["a"], max_tokens=32)
    assert len(prompt_of(tmp_path / "guard").instructions["user"]) < 400  # with the policy that it learned
    passages = [Passage("user", f"{word} {letter}") for word in ("morning", "zzz") for letter in "abcdefgh"]
    scores = load_expert(tmp_path / "guard", "cpu").advise(passages)
    assert np.isfinite(scores).all()
    assert scores[:8].max() < 0.5 < scores[8:].min()
    assert not (tmp_path / "work" / "guard.pt").exists()


@pytest.mark.train
def test_interrupted_training_gives_the_adapters_of_one_that_was_not(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experts.train import guard, run

    whole = adapters(teach(base, data, tmp_path / "whole" / "lora"))
    # Checkpoints after every step, and an end in the middle of the second epoch.
    monkeypatch.setattr(run, "CHECKPOINT_EVERY", -1.0)
    learn, learned = guard.Training.learn, list[int]()

    def interrupted(training: Any) -> float:
        if len(learned) == 6:
            raise KeyboardInterrupt
        learned.append(training.step)
        return float(learn(training))

    monkeypatch.setattr(guard.Training, "learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        teach(base, data, tmp_path / "parts" / "lora")
    monkeypatch.setattr(guard.Training, "learn", learn)
    parts = adapters(teach(base, data, tmp_path / "parts" / "lora"))
    assert learned == [0, 1, 2, 3, 4, 5]
    assert whole.keys() == parts.keys()
    for name, weights in whole.items():
        assert parts[name] == pytest.approx(weights, abs=1e-6)
    assert max(float(np.abs(weights).max()) for name, weights in whole.items() if "lora_B" in name) > 1e-3


@pytest.mark.train
def test_a_checkpoint_of_another_recipe_is_not_continued(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experts.train import guard

    monkeypatch.setattr(guard, "finish", lambda training: training.save())
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
    teach(base, data, tmp_path / "lora")
    with pytest.raises(TrainingError, match="is of another recipe, data or base: delete it to start anew"):
        teach(base, data, tmp_path / "lora", seed=21)


@pytest.mark.train
def test_adapters_are_not_asked_for_a_reading_that_they_have_not_learned(
    base: Path, data: Path, tmp_path: Path
) -> None:
    from experts.export.guard import add_guard

    lora = teach(base, data, tmp_path / "lora", epochs=1)
    with pytest.raises(ExportError, match="has learned the permissive reading: add it with --reading permissive"):
        add_guard(base, tmp_path / "guard", name="guard", lora=lora, reading="defensive")


@pytest.mark.train
def test_the_command_writes_adapters_and_says_how_to_add_them(base: Path, data: Path, tmp_path: Path) -> None:
    from experts.train.guard_command import guard

    policy = tmp_path / "policy.txt"
    policy.write_text("O1: Violence.\n")
    options = ["--data", data, "--out", tmp_path / "lora", "--work", tmp_path / "work", "--rank", 2, "--policy", policy]
    result = CliRunner().invoke(guard, [str(base), *map(str, options), "--max-tokens", "32"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "learned from 16 turns: `aegis experts add" in result.output
    assert adapters(tmp_path / "lora")
    said = json.loads((tmp_path / "lora" / "training.json").read_bytes())
    assert (said["reading"], said["recipe"]["rank"], said["turns"]) == ("permissive", 2, 16)


@pytest.mark.train
def test_a_prompt_longer_than_the_model_reads_is_one_line(data: Path, tmp_path: Path) -> None:
    from experts.train.guard_command import guard

    pytest.importorskip("torch", reason=REASON)
    small = save_guard(tmp_path / "small", causal_model(max_position_embeddings=64), byte_level())
    result = CliRunner().invoke(guard, [str(small), "--data", str(data), "--out", str(tmp_path / "lora")])
    assert result.exit_code == 1
    assert "Error: a prompt takes" in result.output
    assert not (tmp_path / "lora").exists()
