"""`make screenshots`: pictures of the console, of a real broker, a worker with the shipped experts and some traffic."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import click
import msgspec
from playwright.sync_api import Browser, Page, expect

from screenshots import review
from stream import broker as embedded
from stream import topics_admin
from stream.settings import Settings
from support.broker import broker_for_tests
from support.browsing import ConsoleProcess, browsing
from support.worker_process import REAL, WorkerProcess

LARGEST: Final = 300_000
"""Bytes of a picture: a README loads them all."""
READY: Final = 180.0
"""Seconds for the shipped experts to be loaded on a busy machine."""
Theme = Literal["light", "dark"]


@dataclass(frozen=True)
class Picture:
    """One view: `name` of the file, the address, the size in CSS pixels, and what must be seen before it is taken;
    `top`: the part that is scrolled to the top."""

    name: str
    path: str
    width: int
    height: int
    seen: str
    theme: Theme = "light"
    top: str | None = None
    prepare: Callable[[Page], None] | None = None
    """What is done before."""


PICTURES: Final = (
    Picture("console-live", "/?range=300", 1440, 1010, "#tiles"),
    Picture("console-live-dark", "/?range=300", 1440, 1010, "#tiles", "dark"),
    Picture("console-contexts", "/?range=300&context=acme%2Fuser", 1440, 860, "#context .facts", top="#contexts"),
    Picture("console-phone", "/?range=300", 390, 844, "#tiles"),
    Picture("console-turn", "/turn/t000012-0", 1280, 900, "#decision dl"),
    Picture("console-review", "/review", 1280, 800, "#text", prepare=review.chosen),
    Picture("console-review-voted", "/review", 1280, 800, "#text", "dark", prepare=review.voted),
)


@click.command()
@click.option("--seconds", default=300.0, show_default=True, help="Of traffic before the pictures.")
@click.option("--per-second", default=4.0, show_default=True, help="Turns.")
@click.option("--experts", help="Names of the shipped experts that vote, with commas between them; none: all.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder.")
def main(seconds: float, per_second: float, experts: str | None, output: Path) -> None:
    """Write a PNG of every view into OUTPUT."""
    output.mkdir(parents=True, exist_ok=True)
    names = None if experts is None else tuple(experts.split(","))
    with (
        tempfile.TemporaryDirectory(prefix="aegis-screenshots-") as folder,
        _site(Path(folder), names) as site,
        _traffic(site.settings, seconds + 120.0, per_second) as traffic,
    ):
        time.sleep(seconds)
        if traffic.poll() is not None:
            raise click.ClickException("the traffic ended too early: see what it said above")
        with browsing() as browser:
            for picture in PICTURES:
                size = take(browser, site.console.address, picture, output / f"{picture.name}.png")
                click.echo(f"{picture.name}.png: {size / 1000:.0f} kB")


@dataclass(frozen=True)
class Site:
    """What runs."""

    settings: Settings
    console: ConsoleProcess


@contextmanager
def _site(folder: Path, experts: tuple[str, ...] | None) -> Iterator[Site]:
    with broker_for_tests(folder / "broker") as bootstrap:
        settings = Settings.load(
            broker=bootstrap, app_id="aegis", topic_prefix="aegis.", partitions=8, data_dir=folder / "state",
            experts=experts, http_port=embedded.free_port(),
            tenant_policies={"globex": "defensive", "tyrell": "defensive"},
        )  # fmt: skip
        asyncio.run(topics_admin.create(settings))
        with WorkerProcess(settings, folder / "worker.log", REAL) as worker:
            worker.ready(READY)
            with ConsoleProcess(settings, folder / "console.log", *_options(settings)) as console:
                yield Site(settings, console)


def _options(settings: Settings) -> tuple[str, ...]:
    return "--as", "anna", "--metrics-url", f"http://127.0.0.1:{settings.http_port}/metrics"


@contextmanager
def _traffic(settings: Settings, seconds: float, per_second: float) -> Iterator[subprocess.Popen[bytes]]:
    told = msgspec.json.encode(settings.model_dump(mode="json", exclude_defaults=True)).decode()
    command = [sys.executable, "-m", "screenshots.traffic", told, f"{seconds}", f"{per_second}"]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.terminate()


def take(browser: Browser, address: str, picture: Picture, file: Path) -> int:
    """Take one picture; returns its bytes. Raises ClickException when it is too large."""
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height}, color_scheme=picture.theme, locale="en-GB"
    )
    page = context.new_page()
    page.goto(f"{address}{picture.path}")
    expect(page.locator(picture.seen)).to_be_visible(timeout=60_000)
    _settle(page, picture)
    page.screenshot(path=file)
    context.close()
    size = file.stat().st_size
    if size > LARGEST:
        raise click.ClickException(f"{file} has {size:,} bytes, more than {LARGEST:,}: take a smaller view")
    return size


def _settle(page: Page, picture: Picture) -> None:
    """Charts are drawn when they come into sight, and with the next events."""
    if picture.top is not None:
        page.locator(picture.top).evaluate("node => node.scrollIntoView({ block: 'start', behavior: 'instant' })")
    page.wait_for_timeout(6_000)
    if picture.prepare is not None:
        picture.prepare(page)
    page.mouse.move(1, 1)


if __name__ == "__main__":
    main()
