import dataclasses
import math
import re
import xml.etree.ElementTree as ET

import pytest

from stream.demo.report import ReportData, render
from stream.report.contexts import WeightsPoint, by_context, styles_of
from stream.report.page import number

IDS = ("lexical@1.0.0", "semantic@1.0.0")
EMPTY = ReportData(title="Demo", started="2026-03-01 12:00 UTC", seconds=math.nan, turns=0)


def point(context: str, rounds: int, regret: float = 0.5, bound: float = 2.0, alarm: bool = False) -> WeightsPoint:
    return WeightsPoint(
        context=context,
        at=float(rounds),
        rounds=rounds,
        weights={IDS[0]: 0.25, IDS[1]: 0.75},
        regret={IDS[0]: -3.0, IDS[1]: regret},
        bound=bound,
        loss={IDS[0]: 5.0, IDS[1]: 1.0},
        ensemble_loss=1.5,
        policy="permissive",
        alarm=alarm,
    )


def full() -> ReportData:
    return dataclasses.replace(
        EMPTY,
        seconds=61.0,
        turns=12,
        points=[point("acme/user", 1), point("globex/user", 4), point("acme/user", 10)],
        judged=[(0.9, "unsafe"), (0.1, "safe"), (0.5, "needs_caution")],
        verdicts={"acme/user": {"safe": 7, "unsafe": 3}, "globex/user": {"safe": 1, "needs_caution": 1}},
        labels={"late": 9, "corrected": 1},
        dead_letters={"turn_not_found": 2},
        delays=[1.0, 2.0, 11.0],
        latencies=[10.0, 20.0, 400.0],
        where_next=[("aegis tail verdicts", "every decision")],
    )


def svgs(page: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def visible(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index("<body>") :]))


def test_every_picture_of_the_page_is_valid_xml() -> None:
    pictures = svgs(render(full()))
    assert len([picture for picture in pictures if picture.attrib.get("role") == "img"]) == 2 * 3 + 3


def test_ids_are_unique_on_the_page() -> None:
    ids = re.findall(r' id="([^"]+)"', render(full()))
    assert ids
    assert len(set(ids)) == len(ids)


def test_the_page_stands_alone() -> None:
    page = render(full()).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?://|src=|@import|url\(|<script|<link(?! rel=\"icon\" href=\"data:,\")", page)


def test_the_page_serves_light_dark_and_narrow_screens() -> None:
    page = render(full())
    assert "prefers-color-scheme: dark" in page
    assert '<meta name="viewport" content="width=device-width' in page


def test_headline_figures_are_those_of_the_run() -> None:
    text = visible(render(full()))
    assert "Turns decided 12 of 12 sent" in text
    assert "Unsafe 3 1 need caution" in text
    assert "Labels 10 9 late, 1 corrected" in text
    assert f"Loss a label {3.0 / 14:.3f} best single expert: {2.0 / 14:.3f} (semantic@1.0.0)" in text
    assert "Regret, of its bound 25%" in text
    assert "Turn to verdict 20 ms" in text
    assert "Dead letters 2 2 turn_not_found" in text


def test_turns_without_a_verdict_are_marked() -> None:
    missing = dataclasses.replace(full(), turns=13)
    assert '<dd class="value bad">12</dd>' in render(missing)
    assert '<dd class="value good">12</dd>' in render(full())


def test_regret_above_its_bound_is_an_alarm_on_top_and_in_the_table() -> None:
    page = render(dataclasses.replace(full(), points=[point("acme/user", 9, regret=4.0, alarm=True)]))
    assert '<dd class="value bad">200%</dd>' in page
    assert "ALARM: above its bound, in acme/user" in page
    assert "<td>ALARM</td>" in page
    assert "ALARM" not in render(full())


def test_the_table_of_contexts_names_leader_losses_regret_and_bound() -> None:
    rows = re.findall(r'<tr><th scope="row">(\w+/\w+)</th>(.*?)</tr>', render(full()))
    cells = {name: re.findall(r"<td>(.*?)</td>", row) for name, row in reversed(rows)}
    assert cells["acme/user"] == [
        *("permissive", "10", "semantic@1.0.0", "0.750", "1.500", "1.000", "0.500", "2.000", "under its bound")
    ]


def test_the_busiest_context_comes_first_and_only_four_are_unfolded() -> None:
    points = [point(f"tenant{rounds}/user", rounds) for rounds in range(1, 7)]
    assert list(by_context(points)) == [f"tenant{rounds}/user" for rounds in range(6, 0, -1)]
    page = render(dataclasses.replace(full(), points=points))
    assert page.count('<details class="context" open>') == 4
    assert page.count('<details class="context">') == 2


def test_an_expert_has_one_style_in_all_charts_and_experts_differ() -> None:
    assert styles_of([point("a", 1), point("b", 2)]) == {IDS[0]: "s0", IDS[1]: "s1"}


def test_caution_counts_as_unsafe_only_where_the_policy_reads_it_so() -> None:
    data = dataclasses.replace(full(), judged=[(0.5, "needs_caution")])
    assert "1 turns, mean score 0.50, called unsafe 0%" in render(data)
    assert "called unsafe 100%" in render(dataclasses.replace(data, caution_is_unsafe=True))


def test_text_from_outside_is_escaped_everywhere() -> None:
    nasty = "<script>alert(1)</script>&"
    evil = WeightsPoint(nasty, 0.0, 3, {nasty: 1.0}, {nasty: 0.1}, 1.0, {nasty: 1.0}, 1.0, policy=nasty)
    page = render(
        ReportData(
            title=nasty,
            started=nasty,
            seconds=1.0,
            turns=1,
            points=[evil],
            verdicts={nasty: {"safe": 1}},
            labels={nasty: 1},
            dead_letters={nasty: 1},
            where_next=[(nasty, nasty)],
        )
    )
    assert "<script" not in page
    assert "&amp;" in page
    assert svgs(page)


def test_a_run_without_anything_says_what_is_missing() -> None:
    text = visible(render(EMPTY))
    assert "No context has learned from a label yet." in text
    assert text.count("no data yet") == 3
    assert "nan" not in text


def test_numbers_that_are_not_finite_become_gaps() -> None:
    hollow = WeightsPoint("acme/user", 0.0, 3, {IDS[0]: math.nan}, {IDS[0]: math.nan}, math.inf, {}, math.nan)
    page = render(
        dataclasses.replace(
            EMPTY, points=[hollow], judged=[(math.nan, "safe")], delays=[math.nan], latencies=[math.inf]
        )
    )
    assert svgs(page)
    assert not re.search(r"\b(nan|inf)\b", visible(page))


@pytest.mark.parametrize(("value", "text"), [(1234.5678, "1,234.568"), (math.nan, "–"), (-math.inf, "–")])
def test_numbers_read_as_figures_or_a_dash(value: float, text: str) -> None:
    assert number(value) == text
