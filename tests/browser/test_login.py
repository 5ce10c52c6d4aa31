"""Signing in and out in a real browser, by keyboard alone."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, async_playwright, expect

from stream.settings import Settings
from stream.web import sessions
from stream.web.access import CALLER, Access
from stream.web.limits import Limits
from stream.web.serving import application
from support.served import served

TOKEN = "a-token-of-ann-0123456789"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (Debian: apt install chromium)")


def service(tokens: Path) -> web.Application:
    """One page, that names who reads it, and a button that signs out."""
    tokens.write_text(f"ann:{TOKEN}\n")

    async def hello(request: web.Request) -> web.Response:
        form = '<form method="post" action="/logout"><button>Sign out</button></form>'
        text = f"<!doctype html><title>Hello</title><h1>Hello, {request[CALLER].name}</h1>{form}"
        return web.Response(text=text, content_type="text/html")

    app = application(Access.of(Settings(tokens_file=tokens), "127.0.0.1"), Limits(10_000))
    app.add_routes([web.get("/hello", hello)])
    return app


@asynccontextmanager
async def opened(tokens: Path) -> AsyncIterator[tuple[Page, str, list[str]]]:
    """A page of a browser, the service's address, and what the browser complains of, such as a broken policy."""
    complaints: list[str] = []
    async with served(service(tokens)) as client, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = await browser.new_page()
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            yield page, str(client._base_url).rstrip("/"), complaints
        finally:
            await browser.close()


async def test_a_person_signs_in_by_keyboard_is_led_back_and_signs_out(tmp_path: Path) -> None:
    async with opened(tmp_path / "tokens") as (page, address, complaints):
        await page.goto(f"{address}/hello?a=b")
        await expect(page.get_by_label("Token")).to_be_focused()
        await page.keyboard.type("wrong-token-of-nobody")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("This token is not known.")
        assert [text for text in complaints if "401" not in text] == []
        await page.keyboard.type(TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading")).to_have_text("Hello, ann")
        assert page.url == f"{address}/hello?a=b"
        (cookie,) = await page.context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (sessions.COOKIE, True, "Strict")
        assert await page.evaluate("document.cookie") == ""
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Token")).to_be_visible()
        assert await page.context.cookies() == []


async def test_the_page_has_no_barrier(tmp_path: Path) -> None:
    async with opened(tmp_path / "tokens") as (page, address, _):
        await page.goto(f"{address}/login")
        found = await Axe().run(page)
        assert [(one["id"], one["impact"]) for one in found.response["violations"]] == []
