"""`aegis experts`: the experts of a folder, seen, checked, timed, added and removed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.markdown import Markdown

from experts.checks import check, neutral_passages
from experts.errors import ExpertsError, ManifestError, ModelError
from experts.manifest import MANIFEST, read_manifest
from experts.registry import ZOO, load_expert, names
from experts.session import DEVICES, Device
from experts.speed import measure
from stream.commands.experts_tables import Shelf, described, listed, timed
from stream.commands.progress import steps
from stream.errors import SettingsError
from stream.settings import Settings

# Modules of commands that belong to this group and are imported when they are asked for, since some need Kafka or
# torch; each has COMMANDS.
MODULES: Final = {
    "add": "experts_add",
    "enable": "experts_modes",
    "shadow": "experts_modes",
    "disable": "experts_modes",
    "train": "experts_train",
}
CARD: Final = "README.md"


class ExpertCommands(click.Group):
    """The commands of this module, and those of `MODULES`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None if there is none."""
        if cmd_name not in MODULES:
            return super().get_command(ctx, cmd_name)
        commands: tuple[click.Command, ...] = import_module(f"stream.commands.{MODULES[cmd_name]}").COMMANDS
        return next((command for command in commands if command.name == cmd_name), None)


Command = Callable[..., Any]


def folder_option(command: Command) -> Command:
    """The option that names the experts' folder."""
    return click.option(
        "--experts-dir",
        type=click.Path(path_type=Path),
        help="The experts' folder; else AEGIS_EXPERTS_DIR, else the shipped experts.",
    )(command)


def device_option(command: Command) -> Command:
    """The option that names the device."""
    return click.option(
        "--device", type=click.Choice(DEVICES), default="cpu", show_default=True, help="Where the experts run."
    )(command)


def root_of(given: Path | None) -> Path:
    """The experts' folder."""
    return given or Settings.load().experts_dir or ZOO


def own_root(given: Path | None) -> Path:
    """The experts' folder, if it is the user's own. SettingsError if it is that of the shipped experts."""
    root = root_of(given)
    if root.resolve() == ZOO.resolve():
        raise SettingsError(
            "the shipped experts are read-only: name a folder of your own with --experts-dir or AEGIS_EXPERTS_DIR "
            "(workers then run what is in it, so copy there those of the shipped ones that you want)"
        )
    return root


def home_of(root: Path, name: str) -> Path:
    """The folder of an expert or a backbone. ManifestError if there is none of that name."""
    known = sorted(path.parent.name for path in root.glob(f"*/{MANIFEST}"))
    if name not in known:
        raise ManifestError(f"there is no expert {name!r} in {root}, only {', '.join(known) or 'none'}")
    return root / name


@click.group(cls=ExpertCommands)
def experts() -> None:
    """Add, look at, check, time and remove experts: a folder each, with model, tokenizer, manifest and card.

    \b
    Example:
      aegis experts list
    """


@experts.command("list", short_help="List the experts and backbones of the folder.")
@folder_option
def list_(experts_dir: Path | None) -> None:
    """List the experts of the folder, and the backbones that heads stand on.

    \b
    Example:
      aegis experts list
    """
    root = root_of(experts_dir)
    names(root)
    shelves = [Shelf.of(path.parent) for path in sorted(root.glob(f"*/{MANIFEST}"))]
    if not shelves:
        click.echo(f"there is no expert in {root}: add one with `aegis experts add`")
        return
    Console().print(listed(shelves))
    if broken := [shelf for shelf in shelves if shelf.problem]:
        raise ManifestError("; ".join(str(shelf.problem) for shelf in broken))


@experts.command()
@click.argument("name")
@folder_option
def show(name: str, experts_dir: Path | None) -> None:
    """Show what the manifest and the card of the expert NAME say.

    \b
    Example:
      aegis experts show permissive
    """
    home = home_of(root_of(experts_dir), name)
    console = Console()
    console.print(described(read_manifest(home)))
    if (home / CARD).is_file():
        console.print(Markdown((home / CARD).read_text("utf-8", "replace")))


@experts.command(short_help="Check experts from end to end.")
@click.argument("chosen", metavar="[NAME]...", nargs=-1)
@folder_option
@device_option
def verify(chosen: tuple[str, ...], experts_dir: Path | None, device: Device) -> None:
    """Check the experts NAME, or all, from end to end: sha256, loading, tokenizer, finite answers to neutral texts that
    do not depend on the texts beside them. Exit code 10 if one fails.

    \b
    Example:
      aegis experts verify permissive
    """
    root = root_of(experts_dir)
    names(root)
    homes = [home_of(root, name) for name in chosen] or [path.parent for path in sorted(root.glob(f"*/{MANIFEST}"))]
    problems = [problem for home in homes if (problem := _checked(home, device))]
    if problems:
        raise ModelError(f"{len(problems)} of {len(homes)} experts cannot be trusted, each named above")
    click.echo(f"all {len(homes)} are as they should be" if len(homes) > 1 else "it is as it should be")


def _checked(home: Path, device: Device) -> ExpertsError | None:
    """Says what is found of one expert; the first thing that is wrong with it."""
    found = []
    try:
        with steps() as say:
            for line in check(home, device, lambda what, count, total: say(f"{home.name}: {what}", count, total)):
                found.append(f"{home.name}: {line}")
    except ExpertsError as error:
        click.echo(f"{home.name}: {error}", err=True)
        return error
    finally:
        click.echo("".join(f"{line}\n" for line in found), nl=False)
    return None


@experts.command(short_help="Time experts.")
@click.argument("chosen", metavar="[NAME]...", nargs=-1)
@folder_option
@device_option
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=4.0, show_default=True, help="Time for each.")
@click.option("--budget", type=click.IntRange(1), help="Padded tokens a batch; else what the device is served with.")
@click.option("--texts", type=click.Path(path_type=Path), help="A text a line; else built-in neutral ones.")
def bench(
    chosen: tuple[str, ...],
    experts_dir: Path | None,
    device: Device,
    seconds: float,
    budget: int | None,
    texts: Path | None,
) -> None:
    """Time the experts NAME, or all: texts a second in batches, milliseconds a batch and for one text alone.

    Nothing else should run meanwhile. Heads are timed with their backbone, which they share when they are served.

    \b
    Example:
      aegis experts bench --texts prompts.txt
    """
    root = root_of(experts_dir)
    known = names(root)
    if unknown := [name for name in chosen if name not in known]:
        raise ManifestError(f"there is no expert {unknown[0]!r} in {root}, only {', '.join(known) or 'none'}")
    given = read_texts(texts)
    found = []
    with steps() as say:
        for name in chosen or known:
            expert = load_expert(root / name, device)
            passages = neutral_passages(expert.manifest, given)
            found.append((expert.id, measure(expert, passages, seconds, budget, say)))
    Console().print(timed(found))


def read_texts(path: Path | None) -> list[str]:
    """The texts of a file, a line each; none without a file. SettingsError if it cannot be read or holds none."""
    if path is None:
        return []
    try:
        texts = [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror}): --texts names a file with a text a line"
        ) from error
    if not texts:
        raise SettingsError(f"{path} holds no text: --texts names a file with a text a line")
    return texts


@experts.command()
@click.argument("name")
@folder_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, experts_dir: Path | None, yes: bool) -> None:
    """Delete the folder of the expert NAME. Running workers keep it until they start again; `aegis experts disable`
    takes its vote at once.

    \b
    Example:
      aegis experts remove toxic --experts-dir experts
    """
    from experts.shelves import heads_on, take_away

    root = own_root(experts_dir)
    home = home_of(root, name)
    if heads := heads_on(root, name):
        raise ManifestError(f"{', '.join(heads)} stand on {name}: remove them first")
    if not yes:
        click.confirm(f"delete {home} and all in it?", abort=True)
    take_away(root, name)
    click.echo(f"{name}: removed")
