"""`aegis experts add`: an expert made of somebody else's model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from experts.base import Passage
from experts.checks import check
from experts.shelves import making
from experts.train.command import need
from stream.commands.experts import folder_option, own_root, read_texts
from stream.commands.progress import steps
from stream.errors import DataError, SettingsError
from stream.evaluation.data import CAUTION, UNSAFE, find_sets, read_set

if TYPE_CHECKING:
    from experts.export.origin import Origin
    from experts.export.wish import Labelled

# What an export needs of the extra `train`.
NEEDED: Final = ("torch", "transformers", "optimum", "onnx")
PRECISIONS: Final = ("int8-stored", "fp32", "fp16")
ROLES: Final = frozenset({"user", "assistant", "system"})


class Roles(click.ParamType):
    """Names of roles with commas between them."""

    name = "ROLE,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Fails in click's way for a role that no turn has."""
        if isinstance(value, tuple):
            return value
        roles = tuple(dict.fromkeys(role.strip() for role in str(value).split(",")))
        if wrong := [role for role in roles if role not in ROLES]:
            self.fail(f"{wrong[0]!r} is no role: use {', '.join(sorted(ROLES))}", param, ctx)
        return roles


@click.command(short_help="Make an expert of a classifier or a guard on disk.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="What the expert is called; else as the folder PATH.")
@folder_option
@click.option("--labels", default="auto", show_default=True, help="JSON file from the model's labels to meanings.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Labelled turns to calibrate on, as for `aegis evaluate`."
)
@click.option("--texts", type=click.Path(path_type=Path), help="A text a line, compared besides the built-in ones.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="int8-stored", show_default=True)
@click.option("--roles", type=Roles(), default="user,assistant,system", show_default=True, help="Turns that it reads.")
@click.option("--history", is_flag=True, help="Of a reply it reads the user turn before it, too, as a pair.")
@click.option(
    "--max-tokens", type=click.IntRange(8), help="The most that it reads; else what the model can, up to 512."
)
@click.option("--licence", help="The model's licence; else as its card says.")
@click.option(
    "--reading",
    type=click.Choice(["permissive", "defensive"]),
    default="permissive",
    show_default=True,
    help="Is needs caution safe (permissive) or not: of --data, and of a guard's policy.",
)
@click.option("--lora", type=click.Path(path_type=Path), help="Adapters to merge into a guard.")
def add(
    path: Path, name: str | None, experts_dir: Path | None, data: Path | None, texts: Path | None, **how: Any
) -> None:
    """Make an expert of the model in the folder PATH: a sequence classifier or a guard LLM, as Hugging Face saves them.

    It is exported to ONNX, compared with PyTorch on real texts and refused if it differs, calibrated on --data, and
    checked as `aegis experts verify` does. What its labels mean is known from their names or said by --labels, such as
    {"LABEL_0": "safe", "LABEL_1": "unsafe"}. The weights are stored as int8 and computed with as fp32, unless
    --precision says otherwise.

    \b
    Examples:
      aegis experts add models/toxic-bert --experts-dir experts --data labelled.jsonl.gz
      aegis experts add models/llama-guard --experts-dir experts --precision fp16 --reading defensive
    """
    root, called = own_root(experts_dir), name or path.resolve().name
    need(*NEEDED)
    from experts.export.origin import inspect

    origin = inspect(path)
    given, turns = read_texts(texts), labelled(data, how["reading"])
    with making(root, called) as folder:
        make = add_guard if origin.kind == "guard" else add_classifier
        click.echo(make(origin, folder, called, given, turns, how))
        with steps() as say:
            found = list(check(folder, "cpu", say))
        click.echo("\n".join(found))
    click.echo(f"{called} is in {root}: `aegis experts shadow {called}` tries it without giving it a vote")


def labelled(path: Path | None, reading: str) -> Labelled | None:
    """The labelled turns of a file or a folder of one. DataError, one line, if it cannot be read or holds none."""
    from experts.export.wish import Labelled

    if path is None:
        return None
    sets = [read_set(name, file) for name, file in find_sets([path])]
    rows = [row for found in sets for row in found.rows]
    if not rows:
        raise DataError(f"{path} holds no labelled turn: --data names a file with `unsafe` in its lines")
    bad = (UNSAFE, CAUTION) if reading == "defensive" else (UNSAFE,)
    passages: list[Passage] = [row.passage for row in rows]
    return Labelled(", ".join(found.name for found in sets), passages, np.array([row.label in bad for row in rows]))


def add_classifier(
    origin: Origin, folder: Path, name: str, texts: list[str], turns: Labelled | None, how: dict[str, Any]
) -> str:
    """Makes the expert; what the comparison found."""
    from experts.export import classifier
    from experts.export.wish import Wish

    if how["lora"]:
        raise SettingsError("--lora merges adapters into a guard, and this is a classifier: leave it out")
    wish = Wish(
        name=name,
        precision=how["precision"],
        roles=how["roles"],
        history=how["history"],
        max_tokens=how["max_tokens"],
        licence=how["licence"],
        labels=None if how["labels"] == "auto" else Path(how["labels"]),
        texts=texts,
        labelled=turns,
    )
    with steps() as say:
        added = classifier.add_classifier(origin, folder, wish, say)
    means = ", ".join(f"{label.name} = {label.means}" for label in added.manifest.labels)
    return f"labels: {means}\n{added.parity.sentence()}{' It is not calibrated.' if added.worth is None else ''}"


def add_guard(
    origin: Origin, folder: Path, name: str, texts: list[str], turns: Labelled | None, how: dict[str, Any]
) -> str:
    """Makes the expert; what the comparison found. It shows its own progress."""
    from experts.export import guard

    if how["labels"] != "auto" or how["history"]:
        raise SettingsError(
            "a guard has its verdicts for labels and reads what was said before: leave --labels and --history"
        )
    difference = guard.add_guard(
        origin.path,
        folder,
        name=name,
        reading=how["reading"],
        lora=how["lora"],
        precision=how["precision"],
        roles=[role for role in how["roles"] if role != "system"],
        max_tokens=how["max_tokens"] or 512,
        licence=how["licence"] or origin.licence(),
        texts=texts or None,
        labelled=turns,
    )
    return f"on {difference.texts} texts it differs from PyTorch by {difference.same_weights:.1e} at most"


COMMANDS: Final = (add,)
