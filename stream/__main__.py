"""The command `aegis`."""

from __future__ import annotations

import click

from stream.commands import OneLineErrors
from stream.commands.broker import broker
from stream.commands.topics import topics


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Aegis Stream: moderate conversation turns on Kafka, and learn from what people say later.

    \b
    Example:
      aegis broker start && aegis topics create
    """


cli.add_command(broker)
cli.add_command(topics)


def main() -> None:
    """The entry point of the console script."""
    cli(prog_name="aegis")


if __name__ == "__main__":
    main()
