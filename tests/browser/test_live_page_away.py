"""The live page when the broker goes and comes back, and when whoever writes to topics means harm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from stream import broker as embedded
from stream import dead_letters
from stream.codecs import encode
from stream.records import Departure, Opinion, Source, Standing, Verdict, Weights
from stream.settings import Settings
from stream.topics import TopicNames
from support.browsing import ConsoleProcess, aside, browsing, chromium, complaints
from support.flow import made
from support.kafka import Record, produce

TOKEN = "0123456789abcdef0123456789abcdef"
HOSTILE = "<img src=x onerror=\"document.title='harmed'\"><b>bold</b>"


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Begins behind what makes topics: see `support.browsing`."""
    with browsing() as browser:
        yield browser


def verdict(context: str, expert: str = "lexical", turn_id: str = "t") -> Verdict:
    """As a worker would publish it."""
    tenant, _, role = context.rpartition("/")
    return Verdict(
        turn_id, "c", tenant, "user" if role == "user" else "assistant", "unsafe", 0.9, "permissive", {},
        (Opinion(expert, "1", 0.9, 1.0, "ok"),), context, 3, Source("turns", 0, 0), datetime.now(UTC), 12, {},
    )  # fmt: skip


def weights(context: str, expert: str) -> Weights:
    """With a regret above its bound, and a loss that departed."""
    return Weights(
        context, "permissive", 30, 0, datetime.now(UTC), (Standing(expert, 1.0, 3.0, 9.0),), 12.0, 4.0, 0.0, True,
        drift=(Departure(expert, 3600.0, 0.9, 0.1),),
    )  # fmt: skip


def write(settings: Settings, topic: str, *records: Record) -> None:
    aside(produce(settings.broker, topic, records))


def test_a_broker_that_goes_is_said_with_since_when_and_comes_back_by_itself(tmp_path: Path) -> None:
    chromium()
    folder, port = tmp_path / "broker", embedded.free_port()
    running = embedded.start(folder, port)
    try:
        # The topics are made, and deleted, while no browser runs.
        with (
            made(running.bootstrap, tmp_path) as settings,
            ConsoleProcess(settings, tmp_path / "console.log") as console,
            browsing() as browser,
        ):
            names = TopicNames.of(settings)
            page = browser.new_page()
            page.goto(f"{console.address}/")
            banner = page.locator("#away")
            expect(page.get_by_role("link", name="no worker runs")).to_be_visible()
            expect(banner).to_be_hidden()

            embedded.stop(folder)
            expect(banner).to_contain_text(f"The broker at {settings.broker} is away", timeout=60e3)
            expect(banner).to_contain_text("since")
            expect(page.locator("#verdict")).to_have_attribute("data-level", "bad")
            expect(page.locator("#feed")).to_have_text("live")

            embedded.start(folder, port)
            expect(banner).to_be_hidden(timeout=60e3)
            write(settings, names.verdicts, Record(encode(verdict("back/user")), b"c"))
            expect(page.locator("#rows")).to_contain_text("back")
    finally:
        if embedded.status(folder):
            embedded.stop(folder)


def test_names_that_are_markup_are_shown_as_text(broker: str, tmp_path: Path) -> None:
    chromium()
    with (
        made(broker, tmp_path) as settings,
        ConsoleProcess(settings, tmp_path / "console.log") as console,
        browsing() as browser,
    ):
        names, context = TopicNames.of(settings), f"{HOSTILE}/user"
        headers = [
            (dead_letters.REASON, HOSTILE.encode()),
            (dead_letters.DETAIL, HOSTILE.encode()),
            (dead_letters.TOPIC, HOSTILE.encode()),
        ]
        write(settings, names.verdicts, Record(encode(verdict(context, HOSTILE)), b"c"))
        write(settings, names.weights, Record(encode(weights(context, HOSTILE)), context.encode()))
        write(settings, names.dead_letters, Record(b"x", b"c", headers))
        page = browser.new_page()
        found = complaints(page)
        page.goto(f"{console.address}/")
        for part in ("#rows", "#experts", "#letters", "#alarms", "#context"):
            expect(page.locator(part)).to_contain_text("<b>bold</b>")
        page.get_by_role("button", name=HOSTILE).first.click()
        expect(page.get_by_role("heading", name=context)).to_be_visible()
        assert page.locator("img, main b:text-is('bold')").count() == 0
        assert page.title() == "Live · Aegis"
        assert not found


def test_one_whose_sign_in_has_run_out_is_asked_to_sign_in_again(broker: str, tmp_path: Path) -> None:
    chromium()
    tokens = tmp_path / "tokens"
    tokens.write_text(f"anna:{TOKEN}\n")
    with (
        made(broker, tmp_path, tokens_file=tokens) as settings,
        ConsoleProcess(settings, tmp_path / "console.log") as console,
        browsing() as browser,
    ):
        page = browser.new_page()
        page.goto(f"{console.address}/?range=900")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#feed")).to_have_text("live")
        expect(page.locator(".caller")).to_have_text("anna")
        expect(page.get_by_role("button", name="15 min")).to_have_attribute("aria-pressed", "true")

        tokens.write_text(f"ben:{TOKEN[::-1]}\n")
        console.stop()
        console.start()

        expect(page.get_by_label("Token")).to_be_visible()


def test_a_console_without_topics_says_what_to_do(broker: str, tmp_path: Path) -> None:
    chromium()
    with (
        made(broker, tmp_path) as settings,
        ConsoleProcess(settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}none."}),
                       tmp_path / "console.log") as console,
        browsing() as browser,
    ):  # fmt: skip
        page = browser.new_page()
        page.goto(f"{console.address}/")
        expect(page.get_by_role("heading", name="Topics are missing")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("run `aegis topics create`")
        page.goto(f"{console.address}/?context=nobody%2Fuser")
        expect(page.locator("#context")).to_contain_text("Nothing is known of this context")
