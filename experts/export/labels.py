"""What the columns of somebody else's classifier mean: from their names, or from a file that says it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from experts.errors import ExportError
from experts.manifest import Label
from experts.outputs import MEANINGS, UNSAFE
from experts.taxonomy import INDEX, meaning

# Names of columns that one error line shows.
SHOWN: Final = 8


def column_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a classifier's columns, in order, as its config.json gives them; LABEL_0 and so on if it does not.

    ExportError if `id2label` is not numbered from 0.
    """
    names = config.get("id2label")
    if names is None:
        return tuple(f"LABEL_{index}" for index in range(config.get("num_labels", 2)))
    try:
        numbered = {int(index): str(name) for index, name in names.items()}
        return tuple(numbered[index] for index in range(len(numbered)))
    except (AttributeError, ValueError, KeyError) as error:
        raise ExportError("id2label in config.json does not number its names 0, 1, 2, …: correct it") from error


def column_outputs(config: Mapping[str, Any]) -> Literal["sigmoid", "softmax"]:
    """How the columns become probabilities, as the pipelines of transformers decide it: by `problem_type`, and without
    one each by itself for a single column, else all against each other. ExportError for a regression of several.
    """
    count, problem = len(column_names(config)), config.get("problem_type")
    if count == 1 or problem == "multi_label_classification":
        return "sigmoid"
    if problem == "regression":
        raise ExportError("a regression with several outputs gives no probabilities: only classifiers can be added")
    return "softmax"


def label_map(names: Sequence[str], file: Path | None) -> tuple[Label, ...]:
    """The labels of the columns: by their names, or as the file says. ExportError, naming the columns that nobody
    explains, with the way to explain them.
    """
    said = {name: meaning(name) for name in names} if file is None else read_label_file(file, names)
    if unknown := [name for name in names if said[name] is None]:
        example = json.dumps(dict.fromkeys(unknown[:2], UNSAFE))
        raise ExportError(
            f"nothing is known of the meaning of {shown(unknown)}: write a JSON file such as {example} with a meaning "
            f"for every one of {shown(names)}, and name it with --labels; meanings are {', '.join(MEANINGS)}"
        )
    return tuple(Label(name, str(said[name])) for name in names)


def read_label_file(path: Path, names: Sequence[str]) -> dict[str, str | None]:
    """What the file says of each name, None where it says nothing. ExportError if it is no map of names to meanings, or
    names a column or a meaning that there is not.
    """
    try:
        said = json.loads(path.read_bytes())
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror}): name the label map with --labels") from error
    except ValueError as error:
        raise ExportError(f'{path} is not JSON ({error}): write {{"name of a label": "its meaning"}}') from error
    if not isinstance(said, dict):
        raise ExportError(f'{path} holds no JSON object: write {{"name of a label": "its meaning"}}')
    if strange := [name for name in said if name not in names]:
        raise ExportError(f"{path} names {shown(strange)}, but the model's labels are {shown(names)}: correct it")
    if wrong := [name for name, means in said.items() if means not in MEANINGS]:
        raise ExportError(
            f"{path} gives {shown(wrong)} a meaning that there is not, {said[wrong[0]]!r}: "
            f"write one of {', '.join(MEANINGS)}"
        )
    return {name: said.get(name) for name in names}


def refuse_undecided(labels: Sequence[Label], outputs: str) -> None:
    """ExportError if no column says that a turn is unsafe, or, where columns stand against each other, none else."""
    means = [label.means for label in labels]
    unsafe = [meaning == UNSAFE or meaning in INDEX for meaning in means]
    if not any(unsafe):
        raise ExportError("no label means unsafe or a risk, so the model cannot moderate: see --labels")
    if outputs == "softmax" and all(unsafe):
        raise ExportError("every label means unsafe or a risk, so every turn would be: say with --labels which is safe")


def shown(names: Sequence[str]) -> str:
    """Names for one line."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
