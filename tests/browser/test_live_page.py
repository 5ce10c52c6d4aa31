"""The live page in a real browser, over a real broker and a worker that decides and learns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from support.browsing import SECONDS, ConsoleProcess, aside, barriers, browsing, chromium, complaints
from support.flow import Flow, flowing, label, turn, unique
from support.kafka import Record

TENANTS = ("acme", "globex", "initech")
LABELLED = 12
DESKTOP: Final[ViewportSize] = {"width": 1440, "height": 900}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}


@dataclass(frozen=True)
class Site:
    """What runs: topics with a worker behind them, the console, and a browser."""

    flow: Flow
    console: ConsoleProcess
    browser: Browser

    def publish(self, tenant: str, count: int, labels: int = 0) -> list[str]:
        """New turns of a tenant, and labels of the first of them; returns the turns' ids, once all have a verdict."""
        ids = [unique(tenant) for _ in range(count)]
        aside(self.flow.turns(*(turn(turn_id, f"Hello {turn_id}", tenant=tenant) for turn_id in ids)))
        aside(self.flow.verdicts(*ids))
        if labels:
            says = [label(turn_id, "unsafe" if place % 3 else "safe", tenant=tenant) for place, turn_id in
                    enumerate(ids[:labels])]  # fmt: skip
            aside(self.flow.labels(*says))
        return ids


@pytest.fixture(scope="module")
def site(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three tenants have had turns and labels."""
    chromium()
    folder = tmp_path_factory.mktemp("live")
    with (
        flowing(broker, folder) as flow,
        ConsoleProcess(flow.settings, folder / "console.log") as console,
        browsing() as browser,
    ):
        site = Site(flow, console, browser)
        for tenant in TENANTS:
            site.publish(tenant, LABELLED, LABELLED)
        yield site


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """The live page of a reader who was never here; nothing in it may fail."""
    context = site.browser.new_context(viewport=DESKTOP, locale="en-GB")
    context.set_default_timeout(SECONDS * 1000)
    page = context.new_page()
    found = complaints(page)
    page.goto(f"{site.console.address}/")
    expect(page.get_by_role("grid", name="Contexts")).to_have_attribute("aria-rowcount", re.compile("[4-9]"))
    yield page
    context.close()
    assert not found


def rows(page: Page) -> list[str]:
    """The names in the list of contexts, as they stand."""
    shown = page.locator("#rows [role=row] [role=gridcell]:first-child")
    order = "nodes => nodes.sort((a, b) => a.parentNode.dataset.index - b.parentNode.dataset.index).map(n => n.title)"
    found: list[str] = shown.evaluate_all(order)
    return found


def test_what_is_published_now_is_seen_without_a_reload(site: Site, page: Page) -> None:
    tenant = unique("fresh")
    site.publish(tenant, 6, 6)
    page.get_by_label("Filter contexts by name").fill(tenant)
    row = page.locator("#rows [role=row]").filter(has_text=tenant)
    expect(row).to_be_visible()
    row.click()
    expect(page.get_by_role("heading", name=f"{tenant}/user")).to_be_visible()
    facts = page.locator("#context .facts")
    expect(facts).to_contain_text("Labels learned6")
    expect(facts).to_contain_text("Verdicts seen6")
    experts = page.get_by_role("region", name="Experts in this context")
    expect(experts.get_by_role("row")).to_have_count(4)
    expect(page.locator("#tiles [data-key=traffic] .value")).not_to_have_text("–")
    assert page.locator("#context canvas").count() >= 2


def test_a_healthy_stream_says_so_and_names_its_worker(site: Site, page: Page) -> None:
    expect(page.locator("#verdict")).to_have_attribute("data-level", "good")
    expect(page.get_by_role("heading", name="All is well")).to_be_visible()
    expect(page.locator("#partitions tbody tr")).to_have_count(site.flow.settings.partitions)
    owner = page.locator("#partitions tbody tr td:last-child").first
    expect(owner).to_have_text(re.compile("^[0-9a-f]{6}$"))
    expect(page.locator("#experts tbody tr")).to_have_count(3)


def test_a_dead_letter_is_shown_by_its_reason_and_place_and_never_by_its_words(site: Site, page: Page) -> None:
    words = "these words must not be on the page"
    [sent] = aside(site.flow.send(site.flow.names.turns, Record(words.encode(), b"k")))
    letters = page.locator("#letters")
    expect(letters).to_contain_text("not_json")
    expect(letters).to_contain_text(f"{sent.topic}[{sent.partition}]@{sent.offset}")
    assert words not in page.content()


def test_what_a_reader_chose_survives_a_reload(site: Site, page: Page) -> None:
    page.get_by_role("button", name="15 min").click()
    page.get_by_label("Sort contexts").select_option("name")
    page.get_by_label("Filter contexts by name").fill("e")
    row = page.locator("#rows [role=row]").filter(has_text="initech")
    row.click()
    page.get_by_role("button", name=re.compile("Colour theme")).click()
    page.get_by_role("button", name=re.compile("Colour theme")).click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("#contexts-count")).to_contain_text("found")
    before = rows(page)
    assert before == sorted(before)

    page.reload()

    expect(page.get_by_role("button", name="15 min")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Sort contexts")).to_have_value("name")
    expect(page.get_by_label("Filter contexts by name")).to_have_value("e")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("heading", name="initech/user")).to_be_visible()
    expect(page.locator("#rows [role=row]").filter(has_text="initech")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#contexts-count")).to_contain_text("found")
    assert rows(page) == before


def test_everything_can_be_reached_and_opened_by_keyboard(site: Site, page: Page) -> None:
    page.get_by_label("Sort contexts").select_option("name")
    expect(page.locator("#row-0")).to_contain_text("acme")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    grid = page.get_by_role("grid", name="Contexts")
    for _ in range(60):
        page.keyboard.press("Tab")
        if grid.evaluate("node => node === document.activeElement"):
            break
    expect(grid).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    chosen = rows(page)[1]
    expect(page.get_by_role("heading", name=chosen)).to_be_visible()
    expect(grid).to_have_attribute("aria-activedescendant", "row-1")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=rows(page)[-1])).to_be_visible()
    page.keyboard.press("Home")
    expect(grid).to_have_attribute("aria-activedescendant", "row-0")


def test_a_chart_can_be_read_as_a_sentence_and_as_a_table(site: Site, page: Page) -> None:
    traffic = page.locator("#traffic")
    expect(traffic.locator("p.hidden")).to_contain_text("verdicts")
    traffic.get_by_role("button", name="Table").click()
    table = traffic.get_by_role("table")
    expect(table.get_by_role("columnheader", name="Labels")).to_be_visible()
    assert table.get_by_role("row").count() > 10


def test_a_turn_is_explained_on_a_page_of_its_own(site: Site, page: Page) -> None:
    [first, *_] = site.publish("acme", 3, 3)
    page.get_by_label("Explain a turn, by its id").fill(first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"Turn {first}")).to_be_visible()
    expect(page.locator("#decision")).to_contain_text("permissive")
    expect(page.locator("#experts tbody tr")).to_have_count(3)
    expect(page.locator("#sum")).to_contain_text("as published")
    assert not barriers(page)


def test_a_turn_that_nobody_knows_is_said_to_be_unknown(site: Site) -> None:
    page = site.browser.new_page()  # the answer 404 is an error in the browser's console, and right
    page.goto(f"{site.console.address}/turn/nobody-has-this-id")
    expect(page.get_by_role("status")).to_contain_text("No verdict of this turn was found")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(site: Site, page: Page, scheme: str, size: ViewportSize) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size(size)
    page.reload()
    expect(page.locator("#context .facts")).to_be_visible()
    expect(page.locator("#experts tbody tr")).to_have_count(3)
    page.locator("#context").scroll_into_view_if_needed()
    assert not barriers(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the screen"


def test_a_console_that_ends_is_missed_and_found_again(site: Site) -> None:
    page = site.browser.new_page()  # a connection that is refused is an error in the browser's console
    page.goto(f"{site.console.address}/")
    expect(page.locator("#feed")).to_have_text("live")
    site.console.stop()
    banner = page.get_by_role("alert")
    expect(banner).to_contain_text("The console does not answer")
    site.console.start()
    expect(banner).to_be_hidden()
    expect(page.locator("#feed")).to_have_text("live")
    page.close()
