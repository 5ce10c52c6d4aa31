"""The command `aegis`."""

from __future__ import annotations

import click

from stream.commands import CommandModules

COMMANDS = (
    *("broker", "topics", "state", "worker", "console", "produce", "tail", "dead-letters", "labels", "forget"),
    *("score", "evaluate", "replay", "explain", "experts", "gateway", "demo"),
)


@click.group(cls=CommandModules, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Aegis Stream: moderate conversation turns on Kafka, and learn from what people say later.

    \b
    Example:
      aegis broker start && aegis topics create
    """


def main() -> None:
    """The entry point of the console script."""
    cli(prog_name="aegis")


if __name__ == "__main__":
    main()
