"""`aegis experts enable|shadow|disable`: who votes, on running workers and on those that start later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import click

from experts.errors import ManifestError
from experts.manifest import PLAIN_NAME
from stream.codecs import encode
from stream.commands import hush
from stream.errors import SettingsError
from stream.expert_modes import DISABLED, ENABLED, SHADOW, Wish, Wishes, lineup
from stream.following import existing
from stream.panels import expert_names, known_names
from stream.records import ExpertMode, ModeName
from stream.sending import send_one
from stream.settings import Settings
from stream.topics import TopicNames

NEWEST: Final = (2**63, 0)
"""The place of a wish that is not written yet: behind every other."""


def _command(name: str, mode: ModeName, about: str) -> click.Command:
    @click.command(name, help=about)
    @click.argument("expert", metavar="NAME")
    def command(expert: str) -> None:
        hush()
        click.echo(asyncio.run(set_mode(Settings.load(), expert, mode, _note)))

    return command


def _note(line: str) -> None:
    click.echo(line, err=True)


async def set_mode(settings: Settings, expert: str, mode: ModeName, note: Callable[[str], None]) -> str:
    """Writes the mode of an expert for all workers; returns a line that says what it was before.

    `note` is told of a name that no folder here has: workers may have others. Raises SettingsError when nobody would
    be left to vote or the name can be no expert's, TopicsError, BrokerError or WriteError as the broker makes
    necessary."""
    if not PLAIN_NAME.fullmatch(expert):
        raise SettingsError(f"{expert!r} can be no expert's name: use letters, digits, dots, dashes and underscores")
    wishes, topic = Wishes(), TopicNames.of(settings).experts
    async for records in existing(settings, topic):
        wishes.learn(records)
    base, here = _base(settings, note)
    before = lineup(base, wishes.wishes).modes.get(expert, DISABLED) if base else None
    wanted = {**wishes.wishes, expert: Wish(mode, NEWEST)}
    if base and expert in lineup(base, wanted).unmet:
        raise SettingsError(f"{expert} is the last expert that votes: enable another one before you {_verb(mode)} it")
    if base and expert not in here:
        note(f"there is no expert {expert} here, only {', '.join(here)}: a worker that lacks it logs so and goes on")
    await send_one(settings, topic, expert.encode(), encode(ExpertMode(mode, datetime.now(UTC))))
    return f"{expert}: {mode}{f' (was {before})' if before else ''}; workers follow within seconds"


def _base(settings: Settings, note: Callable[[str], None]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The experts that workers with these settings start with, and all in their folder; none when this machine has no
    such folder."""
    try:
        return expert_names(settings), known_names(settings)
    except ManifestError as error:
        note(f"what workers run cannot be checked here: {error}")
        return (), ()


def _verb(mode: ModeName) -> str:
    return "disable" if mode == DISABLED else mode


COMMANDS: Final[tuple[click.Command, ...]] = (
    _command(
        "enable",
        ENABLED,
        """Let the expert NAME vote, on every worker.

    Workers load it from their folder beside the traffic, and swap between two batches; one that cannot load it logs so
    and goes on as before. It votes with the weight of the rounds in which it voted before, or as a newcomer.

    \b
    Example:
      aegis experts enable toxic
    """,
    ),
    _command(
        "shadow",
        SHADOW,
        """Score and learn about the expert NAME, without giving it a vote.

    Verdicts show its score with status `shadow` and weight 0; `aegis tail weights` shows its loss, and the regret to
    it: above 0, its vote could have helped.

    \b
    Example:
      aegis experts shadow toxic
    """,
    ),
    _command(
        "disable",
        DISABLED,
        """Ask the expert NAME no more, on every worker.

    What was learned about it is kept for when it comes back. The last expert that votes cannot be disabled.

    \b
    Example:
      aegis experts disable toxic
    """,
    ),
)
"""To be added to the group `aegis experts`."""
