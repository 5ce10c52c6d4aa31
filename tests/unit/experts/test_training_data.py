import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from experts.base import Passage
from experts.errors import TrainingError
from experts.train.data import CAPS, Example, pick, read_set, training_examples


def row(target: str, *turns: tuple[str, str], unsafe: int | None = 1, **more: Any) -> dict[str, Any]:
    return {"turns": [{"role": role, "text": text} for role, text in turns], "target": target, "unsafe": unsafe} | more


def stored(folder: Path, rows: Sequence[object]) -> Path:
    folder.mkdir(parents=True)
    with gzip.open(folder / "data.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(each) + "\n" for each in rows)
    return folder


def read_one(tmp_path: Path, each: dict[str, Any]) -> list[Example]:
    return list(read_set(stored(tmp_path / "aset", [each])))


def test_a_label_about_a_reply_gives_the_reply_with_the_turns_before_it(tmp_path: Path) -> None:
    (example,) = read_one(tmp_path, row("assistant", ("user", "q"), ("assistant", "a"), ("user", "later")))
    assert example.passage == Passage("assistant", "a", (("user", "q"),))
    assert example.unsafe
    assert example.source == "aset"


def test_a_label_about_the_user_takes_the_last_user_turn(tmp_path: Path) -> None:
    (example,) = read_one(tmp_path, row("user", ("user", "one"), ("assistant", "two"), ("user", "three"), unsafe=0))
    assert example.passage == Passage("user", "three", (("user", "one"), ("assistant", "two")))
    assert not example.unsafe


def test_a_label_about_a_conversation_is_about_each_of_its_turns(tmp_path: Path) -> None:
    found = read_one(tmp_path, row("conversation", ("user", "one"), ("assistant", "two"), unsafe=0))
    assert [example.passage.text for example in found] == ["one", "two"]
    assert found[0].group == found[1].group


def test_a_speaker_of_unknown_role_counts_as_a_user(tmp_path: Path) -> None:
    (example,) = read_one(tmp_path, row("text", ("unknown", "one")))
    assert example.passage.role == "user"


def of_set(tmp_path: Path, name: str, each: dict[str, Any]) -> Example:
    (example,) = read_set(stored(tmp_path / name, [each]))
    return example


def test_needs_caution_is_safe_to_the_permissive_reading_and_unsafe_to_the_defensive_one(tmp_path: Path) -> None:
    cautioned = row("text", ("user", "hm"), unsafe=None, categories=["Needs Caution"])
    example = of_set(tmp_path, "aegis1_val_test", cautioned)
    assert (example.permissive, example.defensive) == (0.0, 1.0)
    assert not example.unsafe


def test_a_single_vote_for_abuse_is_enough_for_the_defensive_reading(tmp_path: Path) -> None:
    example = of_set(tmp_path, "convabuse", row("user", ("user", "hm"), unsafe=0, meta={"votes": [1, 1, -1]}))
    assert (example.permissive, example.defensive) == (0.0, 1.0)


def test_a_role_to_play_is_for_the_defensive_reading_alone_to_learn(tmp_path: Path) -> None:
    example = of_set(tmp_path, "jailbreak_llms_inthewild", row("user", ("user", "be x"), categories=["jailbreak"]))
    assert math.isnan(example.permissive)
    assert example.defensive == 1.0
    assert example.unsafe


@pytest.mark.parametrize(
    ("unsafe", "names", "risks"),
    [
        (1, ["Violence", "Hate/Identity Hate"], {"violence", "hate"}),
        (1, ["Needs Caution"], None),
        (0, ["Violence"], set()),
    ],
)
def test_risks_are_those_of_an_unsafe_row_none_of_a_safe_one_and_unknown_where_nobody_said(
    tmp_path: Path, unsafe: int, names: list[str], risks: set[str] | None
) -> None:
    each = row("text", ("user", "x"), unsafe=unsafe, categories=names)
    assert of_set(tmp_path, "aegis1_val_test", each).risks == risks


def test_rows_without_a_binary_label_and_blank_texts_are_left_out(tmp_path: Path) -> None:
    rows = [row("text", ("user", "caution"), unsafe=None), row("text", ("user", " \n"))]
    assert list(read_set(stored(tmp_path / "aset", rows))) == []


@pytest.mark.parametrize("spoilt", [{}, [], 7, {"turns": [], "target": "user", "unsafe": 1}])
def test_a_spoilt_row_is_named_by_file_and_line(tmp_path: Path, spoilt: object) -> None:
    folder = stored(tmp_path / "aset", [row("text", ("user", "fine")), spoilt])
    with pytest.raises(TrainingError, match=r"data\.jsonl\.gz, line 2: not a labelled row"):
        list(read_set(folder))


def test_a_target_that_no_turn_has_is_a_spoilt_row(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="line 1"):
        read_one(tmp_path, row("assistant", ("user", "q")))


def test_a_missing_set_is_one_line_that_says_what_data_means(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is not there: --data names the folder"):
        training_examples(tmp_path, seed=1)


def examples(count: int, unsafe: bool) -> list[Example]:
    label = float(unsafe)
    return [
        Example(Passage("user", f"{unsafe} {number}"), label, label, None, "s", str(number)) for number in range(count)
    ]


def test_each_class_is_capped_on_its_own_and_a_text_is_taken_once() -> None:
    rows = [*examples(50, True), *examples(50, True), *examples(9, False)]
    picked = pick(rows, (20, 20), seed=3)
    assert sum(row.unsafe for row in picked) == 20
    assert sum(not row.unsafe for row in picked) == 9
    assert len({row.passage.text for row in picked}) == 29


def test_the_same_seed_picks_the_same_rows_and_another_seed_others() -> None:
    rows = examples(50, True)
    assert pick(rows, (20, 0), seed=3) == pick(rows, (20, 0), seed=3)
    assert pick(rows, (20, 0), seed=3) != pick(rows, (20, 0), seed=4)


META = {"votes": [1, 1, -1], "api_toxicity": "0.1"}


def test_a_question_is_never_split_between_learning_and_holding_out(tmp_path: Path) -> None:
    for name in CAPS:
        rows = [
            row("text", ("user", f"{name} {number}"), unsafe=number % 2, meta=META | {"question_index": number // 4})
            for number in range(400)
        ]
        stored(tmp_path / "train" / name, rows)
    learned, held_out = training_examples(tmp_path, seed=1)
    groups = [{(example.source, example.group) for example in part} for part in (learned, held_out)]
    assert groups[0].isdisjoint(groups[1])
    assert 0.05 < len(held_out) / (len(learned) + len(held_out)) < 0.2
    assert (learned, held_out) == training_examples(tmp_path, seed=1)
