"""What the page is made of: the risks of the taxonomy, a key for each thing, nothing inline, words nobody must read."""

from __future__ import annotations

import codecs
import re
from html.parser import HTMLParser

from experts.taxonomy import CRITICAL, FINE_GRAINED
from stream.console.pages import STATIC

FOLDER = STATIC / "review"
COMMANDS = set("scuznbpel123")


def risks_of_the_page(group: str) -> list[tuple[str, str]]:
    """(risk, key) as the page offers them."""
    text = (FOLDER / "risks.js").read_text(encoding="utf-8")
    block = re.search(rf"export const {group} = \[(.*?)\n\];", text, re.DOTALL)
    assert block is not None
    return re.findall(r'\["(\w+)", "[^"]+", "(\w)"\]', block[1])


def test_the_page_offers_every_risk_of_the_taxonomy_in_its_order() -> None:
    assert tuple(name for name, _ in risks_of_the_page("CRITICAL")) == CRITICAL
    assert tuple(name for name, _ in risks_of_the_page("FINE")) == FINE_GRAINED


def test_each_risk_has_a_key_that_nothing_else_has() -> None:
    keys = [key for group in ("CRITICAL", "FINE") for _, key in risks_of_the_page(group)]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & COMMANDS


class Inline(HTMLParser):
    """Finds what the content security policy would not run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag] if tag in ("script", "style") else []
        self.found += [name for name, _ in attrs if name == "style" or name.startswith("on")]


def test_nothing_is_inline_and_text_is_never_taken_for_markup() -> None:
    parser = Inline()
    parser.feed((FOLDER / "review.html").read_text(encoding="utf-8"))
    assert parser.found == []
    for script in FOLDER.glob("*.js"):
        code = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", code), script.name


def test_the_words_to_blur_cannot_be_read_as_they_stand() -> None:
    lines = [line for line in (FOLDER / "blur-words.txt").read_text("ascii").splitlines() if not line.startswith("#")]
    assert len(set(lines)) == len(lines) < 80
    assert all(re.fullmatch(r"[a-z]{4,}\*?", line) for line in lines)
    # A harmless word in the form of the list, so that a change of the form is seen; no word of it is ever shown.
    assert codecs.encode("teapot", "rot13") == "grncbg"
    assert "gore" in {codecs.decode(line, "rot13") for line in lines}
