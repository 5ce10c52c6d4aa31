import math
import xml.etree.ElementTree as ET

import pytest

from stream.report.charts import (
    HEIGHT,
    WIDTH,
    Axis,
    Line,
    LogAxis,
    histogram,
    line_chart,
    nice_step,
    reliability_bins,
    reliability_chart,
    signed_log,
    stacked_bars,
    thinned,
    tick_text,
)

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "<b>\"a\" & 'b'</b>"


def chart(points: list[tuple[float, float]], name: str = "lexical") -> ET.Element:
    return ET.fromstring(line_chart("c", "Weights", "How weights moved.", [Line(name, "s0", points)], "rounds"))


def places(svg: ET.Element) -> list[tuple[float, float]]:
    line = svg.find(f"{SVG}polyline")
    assert line is not None
    pairs = (place.split(",") for place in line.attrib["points"].split())
    return [(float(left), float(top)) for left, top in pairs]


def every_chart(name: str) -> list[str]:
    return [
        line_chart(name, name, name, [Line(name, "s0", [(1, 2), (2, 3)])], name),
        histogram(name, name, name, [1.0, 2.0], name),
        stacked_bars(name, name, name, {name: {"safe": 1}}),
        reliability_chart(name, name, name, reliability_bins([(0.5, True)])),
        line_chart(name, name, name, [], name),
    ]


@pytest.mark.parametrize("svg", every_chart(NASTY))
def test_names_that_hold_markup_stay_text(svg: str) -> None:
    root = ET.fromstring(svg)
    assert root.findtext(f"{SVG}title") == root.findtext(f"{SVG}desc") == NASTY
    assert root.find(f".//{SVG}b") is None


@pytest.mark.parametrize("svg", every_chart("c"))
def test_every_chart_names_its_title_and_description_for_screen_readers(svg: str) -> None:
    root = ET.fromstring(svg)
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], description.attrib["id"]]


def test_a_line_rises_where_its_values_rise() -> None:
    drawn = places(chart([(0, 1), (1, 3), (2, 2)]))
    assert [left for left, _ in drawn] == sorted(left for left, _ in drawn)
    first, second, third = (top for _, top in drawn)
    assert second < third < first


def test_points_that_are_not_finite_are_left_out() -> None:
    drawn = places(chart([(0, 1), (1, math.nan), (2, math.inf), (3, 2)]))
    assert len(drawn) == 2


@pytest.mark.parametrize("points", [[], [(0.0, math.nan)]])
def test_a_chart_without_data_says_so(points: list[tuple[float, float]]) -> None:
    svg = chart(points)
    assert "no data yet" in "".join(svg.itertext())
    assert svg.find(f"{SVG}polyline") is None


@pytest.mark.parametrize("points", [[(5, 0)], [(0, 1e-12), (1, -1e-12)], [(3, -7), (3, -7)], [(0, 1e9), (1, -1e9)]])
def test_everything_drawn_stays_inside_the_picture(points: list[tuple[float, float]]) -> None:
    svg = chart(points)
    assert all(0 <= left <= WIDTH and 0 <= top <= HEIGHT for left, top in places(svg))


def test_a_long_line_is_thinned_and_keeps_its_last_point() -> None:
    points = [(float(n), float(n)) for n in range(5000)]
    kept = thinned(points)
    assert len(kept) <= 302
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert thinned(points[:3]) == points[:3]
    assert thinned([]) == []


def test_the_bars_of_a_histogram_count_every_value_once() -> None:
    svg = ET.fromstring(histogram("c", "t", "d", [0.0, 0.1, 3.9, 4.0, 11.99, math.nan], "s"))
    hints = [title.text or "" for title in svg.findall(f"{SVG}rect/{SVG}title")]
    assert sum(int(hint.split(": ")[1]) for hint in hints) == 5


def test_a_histogram_of_zeros_is_one_bar() -> None:
    svg = ET.fromstring(histogram("c", "t", "d", [0.0, 0.0], "s"))
    assert len(svg.findall(f"{SVG}rect")) == 1


def test_stacked_bars_are_as_long_as_their_counts() -> None:
    svg = ET.fromstring(stacked_bars("c", "t", "d", {"a": {"safe": 30, "unsafe": 10}, "b": {"safe": 20, "unsafe": 0}}))
    widths = [float(bar.attrib["width"]) for bar in svg.findall(f"{SVG}rect")]
    assert len(widths) == 3
    assert widths[0] > widths[2] > widths[1]


def test_reliability_bins_hold_mean_score_and_the_share_called_unsafe() -> None:
    pairs = [(0.05, False), (0.07, False), (0.92, True), (0.94, False), (1.0, True), (math.nan, True)]
    low, high = reliability_bins(pairs)
    assert (low.count, high.count) == (2, 3)
    assert [low.mean_score, low.share] == pytest.approx([0.06, 0.0])
    assert [high.mean_score, high.share] == pytest.approx([2.86 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("rough", "step"), [(0.2, 0.2), (0.21, 0.25), (0.3, 0.5), (0.7, 1.0), (1.0, 1.0), (6.0, 10.0), (180.0, 200.0)]
)
def test_ticks_are_round_numbers(rough: float, step: float) -> None:
    assert nice_step(rough) == pytest.approx(step)


def test_an_axis_has_three_to_six_ticks_inside_it() -> None:
    for high in (0.3, 1.0, 7.0, 59.0, 1234.0):
        ticks = Axis(0.0, high, 0.0, 1.0).ticks()
        assert 3 <= len(ticks) <= 6
        assert 0 <= min(ticks) <= max(ticks) <= high * (1 + 1e-9)


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.30000000000000004, "0.3"), (1500.0, "1.5k"), (-5.0, "-5")])
def test_ticks_read_short(value: float, text: str) -> None:
    assert tick_text(value) == text


def test_a_logarithmic_axis_has_zero_powers_of_ten_of_both_signs_and_keeps_the_order() -> None:
    axis = LogAxis(signed_log(-45.0), signed_log(6800.0), 206, 14)
    ticks = axis.ticks()
    assert 0.0 in ticks
    assert min(ticks) < 0 < max(ticks)
    assert 3 <= len(ticks) <= 7
    assert all(abs(value) in (0.0, 1.0, 10.0, 100.0, 1000.0) for value in ticks)
    places = [axis.at(value) for value in (-45.0, -1.0, 0.0, 0.5, 10.0, 6800.0)]
    assert places == sorted(places, reverse=True)
    assert (places[0], places[-1]) == (206, 14)


def test_lines_of_very_different_sizes_stay_apart_on_a_logarithmic_axis() -> None:
    lines = [Line("small", "s0", [(0, 0), (1, 3.0)]), Line("bound", "bound", [(0, 0), (1, 5000.0)])]
    low, high = (
        ET.fromstring(line_chart("c", "t", "d", lines, "x", y_log=y_log)).findall(f"{SVG}circle")
        for y_log in (False, True)
    )
    assert float(low[0].attrib["cy"]) > 205
    assert float(high[0].attrib["cy"]) < 185
