"""What is done on the review page before its pictures."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import Page

MOST_SKIPPED: Final = 60
"""Turns, until one has a conversation before it."""
SETTLED: Final = "#review[data-phase='{}']:not([aria-busy])"


def chosen(page: Page, key: str = "2") -> None:
    """A turn with two or more before it, on which a label is chosen."""
    for _ in range(MOST_SKIPPED):
        page.wait_for_selector(SETTLED.format("labelling"))
        if page.locator("#before .said").count() >= 2:
            break
        page.keyboard.press("n")
    page.keyboard.press(key)


def voted(page: Page) -> None:
    """Such a turn, voted on: what the experts said is seen."""
    chosen(page, "1")
    page.keyboard.press("Enter")
    page.wait_for_selector(SETTLED.format("after"))
