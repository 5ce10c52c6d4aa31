"""The review page in a real browser: a console of its own process's loop, served to a real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Error, Page, Response, async_playwright

from stream.codecs import encode
from stream.console.pages import add_static
from stream.console.review.app import attach
from stream.console.review.options import Options
from stream.console.review.room import REVIEW
from stream.records import Opinion, Source, Turn, Verdict
from stream.settings import Settings
from stream.topics import TopicNames
from stream.web.access import Access
from stream.web.limits import Limits
from stream.web.serving import application
from support.browsing import NAMES
from support.kafka import Record, eventually_async, produce

HOST: Final = "127.0.0.1"
BODY_BYTES: Final = 65_536
CHROMIUM: Final = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (apt install chromium)")


@asynccontextmanager
async def serving(settings: Settings, options: Options | None = None, port: int = 0) -> AsyncIterator[str]:
    """Yields the address of a console under these settings that has the review page alone."""
    app = application(Access.of(settings, HOST), Limits(BODY_BYTES))
    add_static(app)
    attach(app, settings, options)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
        # aiokafka forgets a connection that it was opening when it is cancelled, which a test would be told of.
        await eventually_async(lambda: app[REVIEW].feed.has_caught_up, awaited="a queue that has been read")
    finally:
        await runner.cleanup()


@dataclass
class Annotator:
    """A page of somebody's own browser, and every answer that it got, for looking at what it could have known."""

    page: Page
    answers: list[Response] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    """What the page threw, and what its content security policy or its network refused."""

    async def open(self, address: str, phase: str = "labelling") -> None:
        """Opens the review page and waits until it shows something."""
        await self.page.goto(f"{address}/review")
        await self.until(phase)

    async def until(self, phase: str) -> None:
        """Waits until the page is in a phase and at rest."""
        try:
            await self.page.wait_for_selector(f'#review[data-phase="{phase}"]:not([aria-busy])')
        except Error as error:
            shown = await self.page.evaluate("document.getElementById('review')?.dataset.phase")
            told = (await self.text("#trouble-text"), await self.text("#status"), self.troubles)
            asked = [f"{answer.status} {answer.url}" for answer in self.answers[-5:]]
            raise AssertionError(f"the page is at {shown}, not at {phase}: {told}, {asked}") from error

    async def reads(self, text: str) -> None:
        """Waits until this turn is the one to label."""
        await self.page.wait_for_function("text => document.getElementById('text').textContent === text", arg=text)
        await self.until("labelling")

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def vote(self, *keys: str) -> None:
        """Votes by keys, and waits for what the experts said."""
        await self.press(*keys, "Enter")
        await self.until("after")

    async def text(self, selector: str = "#text") -> str:
        """What an element shows."""
        return await self.page.inner_text(selector)

    async def heard(self) -> str:
        """Everything that the console has answered so far."""
        bodies = [await answer.text() for answer in self.answers if answer.ok and "/api/" in answer.url]
        return "\n".join(bodies)


class Browsing:
    """One Chromium, and the people who use it."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    async def annotator(self, token: str | None = None, **options: Any) -> Annotator:
        """Somebody with cookies and storage of their own, who shows a token with every request if one is given."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        context: BrowserContext = await self._browser.new_context(extra_http_headers=headers, **options)
        context.set_default_timeout(15_000)
        one = Annotator(await context.new_page())
        one.page.on("response", lambda answer: one.answers.append(answer))
        one.page.on("pageerror", lambda error: one.troubles.append(str(error)))
        one.page.on("console", lambda said: one.troubles.append(said.text) if said.type == "error" else None)
        return one


@asynccontextmanager
async def browsing() -> AsyncIterator[Browsing]:
    """Debian's Chromium, without a screen."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield Browsing(browser)
        finally:
            await browser.close()


def tokens(folder: Path, lines: Mapping[str, str]) -> Path:
    """A file of tokens, from name to what stands after the token; the token of a name is `token_of`."""
    file = folder / "tokens"
    file.write_text("".join(f"{name}:{token_of(name)} {rights}\n" for name, rights in lines.items()))
    return file


def token_of(name: str) -> str:
    return f"{name}-0123456789abcdef"


async def judged(settings: Settings, *turns: Turn, scores: tuple[float, ...] = (0.125, 0.875)) -> list[Verdict]:
    """Turns and the verdicts that a worker would give them, without a worker: for tests of what only reads both."""
    names, verdicts = TopicNames.of(settings), []
    for said in turns:
        key = said.conversation_id.encode()
        (place,) = await produce(settings.broker, names.turns, [Record(encode(said), key)])
        experts = tuple(Opinion(f"expert{n}", "1", score, 1 / len(scores), "ok") for n, score in enumerate(scores))
        verdict = Verdict(
            *(said.turn_id, said.conversation_id, said.tenant, said.role, "needs_caution", sum(scores) / len(scores)),
            *("permissive", {"harassment": 0.5}, experts, f"{said.tenant}/{said.role}", 0),
            *(Source(place.topic, place.partition, place.offset), datetime.now(UTC), 3, {}),
        )
        await produce(settings.broker, names.verdicts, [Record(encode(verdict), key)])
        verdicts.append(verdict)
    return verdicts
