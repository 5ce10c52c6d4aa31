"""`aegis experts train`: experts made from labelled turns."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

# Commands by name and where they are: imported when asked for, since some need what only the extra `train` has.
TRAINERS: Final = {
    "encoder": ("experts.train.own_command", "encoder", "Fine-tune an encoder on your own labelled turns."),
    "guard": ("experts.train.guard_command", "guard", "Teach a guard LLM with LoRA."),
    "lexical": ("experts.train.lexical", "main", "Train the shipped lexical expert again."),
    "shipped": ("experts.train.shipped", "main", "Train the shipped encoder and its heads again."),
}


class Trainers(click.Group):
    """The commands of `TRAINERS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in alphabetical order."""
        return sorted(TRAINERS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None if there is none."""
        if cmd_name not in TRAINERS:
            return None
        module, attribute, summary = TRAINERS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        command.short_help = summary
        return command


@click.command(cls=Trainers, name="train", short_help="Make an expert from labelled turns.")
def train() -> None:
    """Make an expert from labelled turns.

    Needs the extra `train` (`pip install 'aegis-stream[train]'`). Seeded; interrupted, each goes on from its last
    checkpoint when it is started again.

    \b
    Example:
      aegis experts train encoder --data turns.jsonl.gz --name ours --experts-dir experts
    """


COMMANDS: Final = (train,)
