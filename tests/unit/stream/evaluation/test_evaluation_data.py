"""What `aegis evaluate` reads: both forms of a row, where sets are found, and what is said of a line that is no row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from experts.base import Passage
from stream.errors import DataError
from stream.evaluation.data import CAUTION, SAFE, UNSAFE, DataSet, Row, find_sets, read_set

TALK = [{"role": "user", "text": "q"}, {"role": "assistant", "text": "a"}, {"role": "other_user", "text": "o"}]


def written(folder: Path, *rows: Any, name: str = "some.jsonl") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()
    file.write_bytes(gzip.compress(text) if file.suffix == ".gz" else text)
    return file


def rows_of(folder: Path, *rows: Any) -> tuple[Row, ...]:
    return read_set("some", written(folder, *rows)).rows


@pytest.mark.parametrize(
    ("target", "passage"),
    [
        ("assistant", Passage("assistant", "a", (("user", "q"),))),
        ("user", Passage("user", "o", (("user", "q"), ("assistant", "a")))),
        ("text", Passage("user", "o", (("user", "q"), ("assistant", "a")))),
        ("conversation", Passage("user", "o", (("user", "q"), ("assistant", "a")))),
    ],
)
def test_a_data_sets_row_is_about_the_turn_that_its_target_names_with_those_before_it(
    tmp_path: Path, target: str, passage: Passage
) -> None:
    assert rows_of(tmp_path, {"turns": TALK, "target": target, "unsafe": 1}) == (Row(passage, UNSAFE),)


def test_a_simple_line_needs_a_text_and_a_label_and_may_tell_more(tmp_path: Path) -> None:
    more = {"role": "assistant", "history": TALK[:1], "categories": ["Threat", "Threat"], "attack": "roleplay"}
    assert rows_of(tmp_path, {"text": "x", "unsafe": False}, {"text": "y", "unsafe": True, **more}) == (
        Row(Passage("user", "x"), SAFE),
        Row(Passage("assistant", "y", (("user", "q"),)), UNSAFE, ("Threat",), "roleplay"),
    )


def test_the_attack_may_stand_in_meta(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, {"turns": TALK, "unsafe": 0, "meta": {"attack": "vanilla", "other": 3}})
    assert row.attack == "vanilla"


def test_a_row_without_a_binary_label_needs_caution_or_is_counted_as_unlabelled(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {"text": "x", "unsafe": None, "categories": ["Needs Caution"]},
        {"text": "y", "unsafe": None, "categories": []},
        {"text": "z", "unsafe": 1, "categories": ["Needs Caution"]},
    )
    found = read_set("some", file)
    assert [row.label for row in found.rows] == [CAUTION, UNSAFE]
    assert found.unlabelled == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "truncated"),
        ({"text": "secret"}, "unsafe"),
        ({"text": "secret", "unsafe": 2}, "`unsafe` is 2"),
        ({"text": "secret", "unsafe": "yes"}, "unsafe"),
        ({"text": 3, "unsafe": 1}, "text"),
        ({"unsafe": 1}, "neither `text` nor `turns`"),
        ({"turns": TALK[:1], "target": "assistant", "unsafe": 1}, "no turn of its target, assistant"),
        ("\udcff", "no labelled row"),
    ],
    ids=str,
)
def test_a_line_that_is_no_row_is_named_with_the_remedy_and_without_its_text(
    tmp_path: Path, line: Any, why: str
) -> None:
    file = tmp_path / "some.jsonl"
    text = line if isinstance(line, str) else json.dumps(line)
    file.write_bytes(b'{"text": "x", "unsafe": 0}\n' + text.encode(errors="surrogateescape"))
    with pytest.raises(DataError) as refused:
        read_set("some", file)
    told = str(refused.value)
    assert told.startswith(f"{file}:2: ")
    assert why in told
    assert "--skip-bad" in told
    assert "secret" not in told
    assert "\n" not in told
    assert read_set("some", file, skip_bad=True).bad == 1


def test_sets_are_files_folders_and_folders_of_folders(tmp_path: Path) -> None:
    row = {"text": "x", "unsafe": 0}
    lone = written(tmp_path, row, name="lone.jsonl")
    second = written(tmp_path, row, name="all/b/data.jsonl.gz")
    first = written(tmp_path, row, name="all/a/data.jsonl")
    other = written(tmp_path, row, name="other/a/data.jsonl")
    written(tmp_path, row, name="all/notes.txt")
    assert find_sets([lone, tmp_path / "all", tmp_path / "other" / "a"]) == [
        ("lone", lone),
        ("a 1", first),
        ("b", second),
        ("a 2", other),
    ]
    assert all(len(read_set(*found).rows) == 1 for found in find_sets([tmp_path / "all"]))


def test_a_path_without_data_is_refused_with_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.jsonl or data\.jsonl\.gz"):
        find_sets([tmp_path])


def test_a_damaged_archive_is_one_line(tmp_path: Path) -> None:
    file = written(tmp_path, *[{"text": str(number), "unsafe": 0} for number in range(99)], name="data.jsonl.gz")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        read_set("some", file)


def test_a_sample_keeps_the_order_and_is_the_same_for_a_seed() -> None:
    whole = DataSet("some", tuple(Row(Passage("user", str(number)), SAFE) for number in range(100)))
    part = whole.sampled(10, seed=1)
    numbers = [int(row.passage.text) for row in part.rows]
    assert len(numbers) == 10
    assert numbers == sorted(numbers)
    assert part == whole.sampled(10, seed=1) != whole.sampled(10, seed=2)
    assert whole.sampled(None, 1) is whole.sampled(100, 1) is whole
