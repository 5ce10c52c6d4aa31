"""The review page in a real Chromium, with a real broker and a real worker: from a key to what the worker has
learned."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stream.codecs import decode_label
from stream.console.pages import STATIC
from stream.console.review.options import Options
from stream.records import Label, Turn
from support.fake_worker import CHOSEN
from support.flow import Flow, flowing, turn, unique
from support.review import Annotator, Browsing, browsing, needs_chromium, serving, token_of, tokens

pytestmark = needs_chromium

LOW, HIGH = 0.125, 0.875
TELLING = ("expert0", "expert1", "score", "weight", "0.125", "0.875", "disagreeing", "verdict")
"""Words of which an annotator must see none before the vote."""


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """One expert that finds everything harmless, and one that finds nothing so: every turn asks for a label."""
    with flowing(broker, tmp_path_factory.mktemp("review"), environ={CHOSEN: f"{LOW},{HIGH}"}) as flow:
        yield flow


class Scene:
    """A tenant of its own with turns that wait, a console, and a browser."""

    def __init__(self, flow: Flow, tenant: str, address: str, people: Browsing) -> None:
        self.flow = flow
        self.tenant = tenant
        self.address = address
        self.people = people

    async def say(self, *texts: str, **fields: str) -> list[Turn]:
        """Turns of this tenant, judged, in the order in which they wait."""
        turns = []
        for text in texts:
            turns.append(turn(unique("turn"), text, tenant=self.tenant, **fields))
            await self.flow.turns(turns[-1])
            await self.flow.verdicts(turns[-1].turn_id)
        return turns

    async def annotator(self, name: str = "ann", phase: str = "labelling", **options: object) -> Annotator:
        one = await self.people.annotator(token_of(f"{name}.{self.tenant}"), **options)
        await one.open(self.address, phase)
        return one

    async def labels(self, count: int) -> list[Label]:
        """All labels of this tenant, once there are so many."""

        def ours(records: list[object]) -> list[Label]:
            found = [decode_label(record.value) for record in records]  # type: ignore[attr-defined]
            return [one for one in found if isinstance(one, Label) and one.tenant == self.tenant]

        return ours(await self.flow.until(self.flow.names.labels, lambda records: len(ours(records)) >= count))


@asynccontextmanager
async def scene(flow: Flow, folder: Path, options: Options | None = None) -> AsyncIterator[Scene]:
    tenant = unique("tenant")
    people = {f"{name}.{tenant}": f"tenant={tenant}" for name in ("ann", "ben")}
    settings = flow.settings.model_copy(update={"tokens_file": tokens(folder, people)})
    async with serving(settings, options) as address, browsing() as browser:
        yield Scene(flow, tenant, address, browser)


async def test_a_click_becomes_a_label_with_its_source_and_moves_the_weights_by_exactly_that(
    flow: Flow, tmp_path: Path
) -> None:
    async with scene(flow, tmp_path) as here:
        (said,) = await here.say("How do I get to the station?")
        (verdict,) = await flow.verdicts(said.turn_id)
        ann = await here.annotator()
        assert await ann.text() == said.text
        await ann.page.get_by_role("radio", name="Unsafe").check(force=True)
        await ann.page.get_by_role("checkbox", name="Harassment").check(force=True)
        await ann.page.get_by_role("button", name="Save").click()
        await ann.until("after")
        (label,) = await here.labels(1)
        assert (label.turn_id, label.label, label.categories) == (said.turn_id, "unsafe", ("harassment",))
        assert (label.annotator, label.source) == (f"ann.{here.tenant}", verdict.source)
        told = await flow.weights(f"{here.tenant}/user", lambda weights: weights.rounds == 1)
        assert [expert.loss for expert in told.experts] == pytest.approx([(LOW - 1) ** 2, (HIGH - 1) ** 2])
        assert not ann.troubles


async def test_a_changed_vote_is_taken_back_exactly_and_learned_anew(flow: Flow, tmp_path: Path) -> None:
    async with scene(flow, tmp_path) as here:
        await here.say("Which platform is it?")
        ann = await here.annotator()
        await ann.vote("3", "v")
        await flow.weights(f"{here.tenant}/user", lambda weights: weights.rounds == 1)
        await ann.press("z")
        await ann.until("labelling")
        assert await ann.page.is_checked("input[value=unsafe]")
        assert await ann.page.is_checked("input[value=violence]")
        assert "can be changed, not unsaid" in await ann.text("#correcting")
        await ann.vote("1")
        first, second = await here.labels(2)
        assert (first.label, second.label, second.categories) == ("unsafe", "safe", ())
        assert second.labelled_at > first.labelled_at
        brier = [LOW**2, HIGH**2]
        told = await flow.weights(
            f"{here.tenant}/user", lambda weights: [e.loss for e in weights.experts] == pytest.approx(brier)
        )
        assert told.rounds == 1
        await ann.press("z")
        await ann.until("labelling")
        await ann.vote()  # the same again is no new label
        assert len(await here.labels(2)) == 2


async def test_everything_goes_by_keys_and_the_turn_is_where_the_reader_is(flow: Flow, tmp_path: Path) -> None:
    async with scene(flow, tmp_path) as here:
        turns = await here.say(*(f"Question number {number}" for number in range(5)))
        ann = await here.annotator()
        expected: list[tuple[str, str, tuple[str, ...]]] = []
        plans = (("1",), ("c", "w"), ("u", "h", "Shift+F", "x", "x"), ("2", "l"))
        says = (
            ("safe", ()),
            ("needs_caution", ("profanity",)),
            ("unsafe", ("hate", "fraud_deception")),
            ("needs_caution", ()),
        )
        for said, keys, (label, categories) in zip(turns, plans, says, strict=False):
            assert await ann.text() == said.text
            assert await ann.page.evaluate("document.activeElement.id") == "turn"
            await ann.vote(*keys)
            assert await ann.page.evaluate("document.activeElement.id") == "go-on"
            expected.append((said.turn_id, label, categories))
            await ann.press("Enter")
            await ann.until("labelling")
        labels = sorted(await here.labels(4), key=lambda label: label.labelled_at)
        assert [(one.turn_id, one.label, one.categories) for one in labels] == expected
        await ann.press("Enter")  # nothing is chosen: nothing is saved
        assert await ann.text("#status") == "Choose safe, needs caution or unsafe first."
        await ann.press("?")
        assert await ann.page.is_visible("#help")
        await ann.press("3", "Escape")
        assert not await ann.page.is_checked("input[value=unsafe]")
        await ann.press("n")
        await ann.until("empty")
        await ann.press("z")
        await ann.until("labelling")
        assert await ann.text() == turns[3].text
        await ann.press("z")
        await ann.reads(turns[2].text)
        await ann.press("Escape")
        await ann.until("empty")


async def test_the_experts_are_hidden_until_the_vote_in_the_page_and_on_the_wire(flow: Flow, tmp_path: Path) -> None:
    async with scene(flow, tmp_path) as here:
        (said,) = await here.say("Can I take a bicycle with me?")
        ann = await here.annotator()
        await ann.press("3", "h")
        seen = [await ann.page.content(), await ann.heard()]
        assert said.text in seen[1]
        shown = seen[1].lower() + (await ann.text("#review")).lower() + await ann.page.inner_html("#experts")
        assert [word for word in TELLING if word in shown] == []
        key = json.loads(await next(a for a in ann.answers if a.url.endswith("/next")).text())["turn"]["turn"]
        status = await ann.page.evaluate("key => fetch(`/api/review/experts/${key}`).then(one => one.status)", key)
        assert status == 403
        await ann.vote()
        experts = await ann.text("#experts")
        assert "you say unsafe" in experts
        assert all(word in experts for word in ("expert0", "expert1", "0.13", "0.88", "the experts disagreed"))


async def test_graphic_words_are_blurred_until_they_are_asked_for(flow: Flow, tmp_path: Path) -> None:
    async with scene(flow, tmp_path) as here:
        await here.say("My teapot and my Teapots, but no tea.")
        ann = await here.annotator()
        assert await ann.page.locator(".veil").count() == 0
        await ann.page.evaluate("localStorage.setItem('aegis-review', JSON.stringify({own: 'teapot*'}))")
        await ann.open(here.address)
        assert await ann.page.locator("#text .veil").all_inner_texts() == ["teapot", "Teapots"]
        assert await ann.page.get_attribute("#text .veil", "aria-hidden") == "true"
        assert await ann.text("#reveal-text") == "Show 2 blurred words"
        await ann.press("b")
        assert await ann.page.locator(".veil").count() == 0
        assert await ann.text() == "My teapot and my Teapots, but no tea."
        await ann.press("b")
        assert await ann.page.locator(".veil").count() == 2
        await ann.page.click("#open-settings")
        await ann.page.select_option("#set-blur", "all")
        await ann.press("Escape")
        assert await ann.page.locator("#text .veil").all_inner_texts() == ["My teapot and my Teapots, but no tea."]
        await ann.page.reload()
        await ann.until("labelling")
        assert await ann.page.locator("#text .veil").count() == 1


async def test_every_word_of_the_shipped_list_is_blurred_and_harmless_ones_are_not(flow: Flow, tmp_path: Path) -> None:
    lines = (STATIC / "review" / "blur-words.txt").read_text("ascii").splitlines()
    words = [codecs.decode(line.rstrip("*"), "rot13") for line in lines if not line.startswith("#")]
    async with scene(flow, tmp_path) as here:
        ann = await here.annotator(phase="empty")
        count = "async words => (await import('/static/review/blur.js')).parts(words).filter(part => part[1]).length"
        missed = len(words) - int(await ann.page.evaluate(count, " ".join(word.title() for word in words)))
        assert missed == 0  # never which
        harmless = "The stable kernel, a stab at analysis, Essex and a grapefruit; killed by a virus."
        assert await ann.page.evaluate(count, harmless) == 0


async def test_hostile_text_is_shown_as_text(flow: Flow, tmp_path: Path) -> None:
    markup = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b onclick=window.hacked=1>'
    hostile = f"{markup} &lt;b&gt; \u202eabc\u202c {{{{7*7}}}} ${{7*7}}"
    async with scene(flow, tmp_path) as here:
        conversation = {"conversation_id": unique("c")}
        _, said = await here.say(hostile, hostile, **conversation)
        ann = await here.annotator()
        await ann.press("n")
        await ann.page.wait_for_selector("#before .said")
        for selector in ("#text", "#before .said .text"):
            assert await ann.page.text_content(selector) == said.text
        assert await ann.page.locator("#desk img, #desk script, #desk b").count() == 0
        assert await ann.page.evaluate("window.hacked") is None
        assert not ann.troubles


async def test_a_conversation_is_shown_with_who_said_what_in_its_order(flow: Flow, tmp_path: Path) -> None:
    async with scene(flow, tmp_path) as here:
        conversation = unique("c")
        await here.say("Hello, I look for a train to Braga.", conversation_id=conversation)
        await here.say("There is one at 9:15.", conversation_id=conversation, role="assistant")
        await here.say("Somebody else's words, elsewhere.")
        await here.say("And back?", conversation_id=conversation)
        ann = await here.annotator()
        await ann.press("n")
        await ann.page.wait_for_selector(".turn.assistant")
        await ann.press("n")
        await ann.reads("Somebody else's words, elsewhere.")
        assert await ann.page.locator("#before .said").count() == 0
        await ann.press("n")
        await ann.page.wait_for_selector("#before .said.assistant")
        assert await ann.page.locator("#before .said .text").all_inner_texts() == [
            "Hello, I look for a train to Braga.",
            "There is one at 9:15.",
        ]
        assert await ann.page.locator("#before h3").all_inner_texts() == ["User", "Assistant"]


async def test_two_annotators_do_not_get_the_same_turn_and_what_one_skips_the_other_gets(
    flow: Flow, tmp_path: Path
) -> None:
    async with scene(flow, tmp_path) as here:
        (first,) = await here.say("The only question.")
        ann = await here.annotator()
        ben = await here.annotator("ben", phase="empty")
        assert "Nothing waits for you" in await ben.text("#empty")
        await ann.press("n")
        await ann.until("empty")
        await ben.until("labelling")  # by itself
        assert await ben.text() == first.text
        await ben.vote("1")
        (label,) = await here.labels(1)
        assert label.annotator == f"ben.{here.tenant}"
        told = await flow.weights(f"{here.tenant}/user", lambda weights: weights.rounds == 1)
        assert [expert.loss for expert in told.experts] == pytest.approx([LOW**2, HIGH**2])


async def test_after_hard_turns_a_pause_is_suggested_and_gives_the_turn_back(flow: Flow, tmp_path: Path) -> None:
    async with scene(flow, tmp_path) as here:
        turns = await here.say(*(f"Turn {number}" for number in range(4)))
        ann = await here.annotator()
        await ann.page.click("#open-settings")
        await ann.page.fill("#set-severe", "3")
        await ann.press("Tab", "Escape")
        for _ in range(2):
            await ann.vote("3")
            await ann.press("Enter")
            await ann.until("labelling")
        assert not await ann.page.is_visible("#streak")
        await ann.vote("3")
        await ann.page.wait_for_selector("#nudge[open]")
        assert "The last 3 turns were unsafe." in await ann.text("#nudge")
        await ann.press("Enter")  # go on
        await ann.page.wait_for_selector("#nudge", state="hidden")
        await ann.until("after")
        await ann.press("Enter")
        await ann.until("labelling")
        await ann.press("p")
        await ann.until("resting")
        assert not await ann.page.is_visible("#desk")
        assert await ann.text("#text") == ""
        ben = await here.annotator("ben")
        assert await ben.text() == turns[3].text
        await ann.press("Enter")
        await ann.until("empty")


async def test_keys_pressed_before_the_console_has_answered_pause_and_go_on_all_the_same(
    flow: Flow, tmp_path: Path
) -> None:
    async with scene(flow, tmp_path) as here:
        turns = await here.say("First", "Second")
        ann = await here.annotator()
        await ann.reads(turns[0].text)
        await ann.press("n", "p")
        await ann.until("resting")
        assert await ann.text("#text") == ""
        await ann.press("Enter")
        await ann.reads(turns[1].text)
        await ann.press("p", "Enter")
        await ann.reads(turns[1].text)


async def test_going_straight_on_shows_the_next_turn_and_the_experts_when_asked(flow: Flow, tmp_path: Path) -> None:
    async with scene(flow, tmp_path) as here:
        turns = await here.say("First", "Second", "Third")
        ann = await here.annotator()
        await ann.page.evaluate("localStorage.setItem('aegis-review', JSON.stringify({after: 'on', quick: 'on'}))")
        await ann.open(here.address)
        for said in turns[:2]:
            await ann.reads(said.text)
            await ann.press("1")
        await ann.reads("Third")
        assert await ann.text("#last") == "Saved: safe"
        assert not await ann.page.is_visible("#experts")
        await ann.press("e")
        await ann.page.wait_for_selector("#experts:not([hidden])")
        assert "your last turn" in await ann.text("#experts")
        assert {label.turn_id for label in await here.labels(2)} == {said.turn_id for said in turns[:2]}


async def test_single_keys_can_be_switched_off_for_readers_that_use_them_themselves(flow: Flow, tmp_path: Path) -> None:
    async with scene(flow, tmp_path) as here:
        await here.say("Is it far?")
        ann = await here.annotator()
        await ann.page.evaluate("localStorage.setItem('aegis-review', JSON.stringify({keys: 'off'}))")
        await ann.open(here.address)
        await ann.press("3")
        assert not await ann.page.is_checked("input[value=unsafe]")
        await ann.page.focus("input[value=safe]")
        await ann.press("Space")
        await ann.press("Enter")
        await ann.until("after")
        assert [label.label for label in await here.labels(1)] == ["safe"]
