"""The review page and what is around it: signing in, a broker that goes and comes back, accessibility, agreement."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]

from stream import broker as embedded
from stream import topics_admin
from stream.console.review.options import Options
from stream.records import LabelName, Utterance
from stream.settings import Settings
from stream.topics import TopicNames
from support.broker import NAMED, Namespace
from support.browsing import TAGS, ConsoleProcess
from support.flow import label, record_of, turn, unique
from support.kafka import consume_until, produce
from support.review import Annotator, browsing, judged, needs_chromium, serving, token_of, tokens

pytestmark = needs_chromium

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SERIOUS = ("serious", "critical")
CHOICES: tuple[LabelName, ...] = ("safe", "needs_caution", "unsafe")


async def serious(page: Any) -> list[str]:
    """What axe-core finds that keeps somebody from using the page."""
    found = (await Axe().run(page, options={"runOnly": {"type": "tag", "values": list(TAGS)}})).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(
    "look",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"color_scheme": "light", **PHONE}],
    ids=["light", "dark", "phone"],
)
async def test_axe_finds_nothing_serious_in_any_phase(topics: Settings, look: dict[str, Any]) -> None:
    history = (Utterance("user", "Hello?"), Utterance("assistant", "Hello!"), Utterance("system", "Be kind."))
    await judged(topics, turn(unique("turn"), "Which train goes to Braga?", history=history), turn(unique("turn")))
    async with serving(topics, Options(annotators=2)) as address, browsing() as people:
        ann = await people.annotator(**look)
        await ann.open(address)
        await ann.page.evaluate("localStorage.setItem('aegis-review', JSON.stringify({own: 'braga'}))")
        await ann.open(address)
        assert await serious(ann.page) == []
        await ann.press("3", "h", "Shift+F")
        assert await serious(ann.page) == []
        await ann.vote()
        assert await serious(ann.page) == []
        for opener in ("help", "settings", "team"):
            await ann.page.click(f"#open-{opener}")
            await ann.page.wait_for_selector(f"#{opener}[open]")
            assert await serious(ann.page) == [], opener
            await ann.press("Escape")
        await ann.press("p")
        await ann.until("resting")
        assert await serious(ann.page) == []
        if "viewport" in look:  # nothing to scroll sideways
            assert await ann.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert ann.troubles == []


async def test_one_signs_in_with_a_token_once_and_what_was_typed_is_not_in_the_browser(
    topics: Settings, tmp_path: Path
) -> None:
    await judged(topics, turn(unique("turn"), "Good morning"))
    secured = topics.model_copy(update={"tokens_file": tokens(tmp_path, {"ann": ""})})
    async with serving(secured) as address, browsing() as people:
        ann = await people.annotator()
        await ann.page.goto(f"{address}/review")
        assert "/login" in ann.page.url
        await ann.page.fill("#token", "somebody-elses-token")
        await ann.press("Enter")
        await ann.page.get_by_role("alert").wait_for()
        await ann.page.fill("#token", token_of("ann"))
        await ann.press("Enter")
        await ann.until("labelling")
        kept = json.dumps(
            [await ann.page.context.cookies(), await ann.page.evaluate("() => JSON.stringify(localStorage)")]
        )
        assert token_of("ann") not in kept
        await ann.vote("1")
        await ann.page.context.clear_cookies()
        await ann.press("Enter")
        await ann.page.wait_for_url("**/login**")


async def test_people_see_how_far_they_agree_and_those_who_may_take_the_labels_home(
    topics: Settings, tmp_path: Path
) -> None:
    turns = [turn(unique("turn"), f"Sentence {number}", conversation_id="c") for number in range(3)]
    await judged(topics, *turns)
    says = [label(one.turn_id, said, "ben", conversation_id="c") for one, said in zip(turns, CHOICES, strict=True)]
    await produce(topics.broker, TopicNames.of(topics).labels, map(record_of, says))
    secured = topics.model_copy(update={"tokens_file": tokens(tmp_path, {"ann": "", "ben": ""})})
    async with serving(secured, Options(annotators=2, exporters=frozenset({"ann"}))) as address, browsing() as people:
        ann = await people.annotator()  # a download has the cookie, and no header of the page's
        await ann.page.goto(f"{address}/login?next=/review")
        await ann.page.fill("#token", token_of("ann"))
        await ann.press("Enter")
        await ann.until("labelling")
        for key in ("1", "1", "3"):
            await ann.vote(key)
            await ann.press("Enter")
            await ann.page.wait_for_function("() => document.getElementById('review').dataset.phase !== 'after'")
        await ann.until("empty")
        await ann.page.click("#open-team")
        await ann.page.wait_for_selector("#team table")
        told = await ann.text("#team")
        assert "On 3 turns with several votes, two people say the same in 67 % of the cases." in told
        assert ["ann", "3", "–"] in [row.split("\t") for row in told.splitlines()]
        async with ann.page.expect_download() as waiting:
            await ann.page.get_by_role("link", name="Download JSON lines").click()
        await (await waiting.value).save_as(tmp_path / "labelled.jsonl")
        rows = rows_of(tmp_path / "labelled.jsonl")
        assert sorted((row["text"], row["num_annotations"]) for row in rows) == [
            (one.text, 2) for one in sorted(turns, key=lambda one: one.text)
        ]
        ben = await people.annotator(token_of("ben"))
        await ben.open(address, "empty")
        await ben.page.click("#open-team")
        await ben.page.wait_for_selector("#team table")
        assert not await ben.page.is_visible("#exports")


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.skipif(
    bool(os.environ.get(NAMED)) and shutil.which("java") is None,
    reason=f"{NAMED} names a broker, and there is no Java to start another with",
)
async def test_a_broker_that_is_gone_is_said_and_what_was_chosen_is_saved_when_it_is_back(tmp_path: Path) -> None:
    running = embedded.start(tmp_path, embedded.free_port())
    try:
        settings = Namespace.new().settings(running.bootstrap, partitions=2, write_timeout=5.0)
        await topics_admin.create(settings)
        said, other = (turn(unique("turn"), text, conversation_id="c") for text in ("Still there?", "And now?"))
        await judged(settings, said, other)
        with ConsoleProcess(settings, tmp_path / "console.log") as console:
            async with browsing() as people:
                ann = await people.annotator()
                await ann.open(console.address)
                embedded.stop(tmp_path)
                await ann.page.wait_for_selector("#trouble:not([hidden])")
                assert "does not answer" in await ann.text("#trouble")
                await ann.press("3", "a", "Enter")
                await ann.page.wait_for_function(
                    "() => document.getElementById('trouble').innerText.includes('not saved')"
                )
                running = embedded.start(tmp_path, running.port)
                await ann.page.wait_for_function(
                    "() => !document.getElementById('trouble').innerText.includes('does not answer')", timeout=40_000
                )
                assert await ann.page.is_checked("input[value=unsafe]")
                await _saved(ann)
                assert not await ann.page.is_visible("#trouble")
                names = TopicNames.of(settings)
                (record,) = await consume_until(settings.broker, names.labels, lambda records: len(records) == 1)
                assert json.loads(record.value)["turn_id"] == said.turn_id
                await ann.press("Enter")
                await ann.reads(other.text)
    finally:
        embedded.stop(tmp_path)


async def _saved(ann: Annotator) -> None:
    """Enter, as often as the page asks for it: its first try may meet a connection of before."""
    for _ in range(5):
        await ann.press("Enter")
        await ann.page.wait_for_selector("#review:not([aria-busy])")
        if await ann.page.get_attribute("#review", "data-phase") == "after":
            return
    await ann.until("after")


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
