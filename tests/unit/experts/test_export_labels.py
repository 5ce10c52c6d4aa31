import json
from pathlib import Path
from typing import Any

import pytest

from experts.errors import ExportError
from experts.export.labels import column_names, column_outputs, label_map, refuse_undecided
from experts.manifest import Label

TOXIC = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def config(*labels: str, **more: Any) -> dict[str, Any]:
    return {"id2label": {str(index): label for index, label in enumerate(labels)}, **more}


def written(folder: Path, content: Any) -> Path:
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_columns_are_named_in_the_order_of_their_numbers() -> None:
    shuffled = {"id2label": {"10": "k", **{str(index): chr(ord("a") + index) for index in reversed(range(10))}}}
    assert column_names(shuffled) == tuple("abcdefghijk")


def test_columns_without_names_are_numbered_as_transformers_does() -> None:
    assert column_names({}) == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize("names", [{"0": "a", "2": "b"}, {"x": "a"}, ["a"]])
def test_columns_that_are_numbered_with_gaps_are_refused(names: Any) -> None:
    with pytest.raises(ExportError, match="does not number its names"):
        column_names({"id2label": names})


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (config("safe", "unsafe"), "softmax"),
        (config("unsafe"), "sigmoid"),
        (config("unsafe", problem_type="regression"), "sigmoid"),
        (config(*TOXIC, problem_type="multi_label_classification"), "sigmoid"),
        (config("safe", "unsafe", problem_type="single_label_classification"), "softmax"),
    ],
)
def test_columns_become_probabilities_as_the_pipelines_of_transformers_do_it(
    told: dict[str, Any], expected: str
) -> None:
    assert column_outputs(told) == expected


def test_a_regression_of_several_columns_is_refused() -> None:
    with pytest.raises(ExportError, match="no probabilities"):
        column_outputs(config("a", "b", problem_type="regression"))


def test_names_that_are_known_need_no_file() -> None:
    assert [label.means for label in label_map(TOXIC, None)] == [
        "unsafe",
        "unsafe",
        "profanity",
        "threat",
        "harassment",
        "hate",
    ]


def test_names_that_say_nothing_are_refused_with_all_of_them_and_the_file_to_write() -> None:
    with pytest.raises(ExportError) as refused:
        label_map(("safe", "LABEL_1", "Needs Caution"), None)
    line = str(refused.value)
    assert "meaning of 'LABEL_1', 'Needs Caution'" in line
    assert '{"LABEL_1": "unsafe", "Needs Caution": "unsafe"}' in line
    assert "--labels" in line
    assert "high_risk_government_decision_making" in line
    assert "\n" not in line


def test_a_file_says_what_names_do_not(tmp_path: Path) -> None:
    file = written(tmp_path, {"LABEL_0": "safe", "LABEL_1": "hate"})
    assert label_map(("LABEL_0", "LABEL_1"), file) == (Label("LABEL_0", "safe"), Label("LABEL_1", "hate"))


def test_a_file_must_explain_every_column_also_those_whose_names_are_known(tmp_path: Path) -> None:
    # OpenAI's S3 is not that of MLCommons: names beside an unknown one may mean something else, too.
    with pytest.raises(ExportError, match="meaning of 'S3'"):
        label_map(("H", "S3"), written(tmp_path, {"H": "hate"}))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"LABEL_0": "safe", "LABEL_1": "rudeness"}, r"'LABEL_1' a meaning that there is not, 'rudeness'.*profanity"),
        ({"LABEL_0": "safe", "LABEL_7": "hate"}, r"names 'LABEL_7', but the model's labels are 'LABEL_0', 'LABEL_1'"),
        ({"LABEL_0": ["safe"]}, "a meaning that there is not"),
        (["safe", "unsafe"], "holds no JSON object"),
        ("{", "is not JSON"),
    ],
)
def test_a_file_that_is_no_label_map_is_refused_with_the_reason(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(ExportError, match=reason):
        label_map(("LABEL_0", "LABEL_1"), written(tmp_path, content))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot be read.*--labels"):
        label_map(("LABEL_0",), tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("means", "outputs", "reason"),
    [
        (("safe", "none"), "softmax", "no label means unsafe or a risk"),
        (("hate", "unsafe"), "softmax", "say with --labels which is safe"),
    ],
)
def test_labels_that_cannot_tell_unsafe_from_safe_are_refused(
    means: tuple[str, ...], outputs: str, reason: str
) -> None:
    with pytest.raises(ExportError, match=reason):
        refuse_undecided([Label("x", meaning) for meaning in means], outputs)


def test_columns_that_stand_by_themselves_need_no_safe_one() -> None:
    refuse_undecided([Label("x", "hate"), Label("y", "threat")], "sigmoid")
