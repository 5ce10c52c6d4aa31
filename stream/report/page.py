"""The parts that every page of ours is made of. What is given as text is escaped here; `chart` and `rows` are
HTML already."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files


def document(title: str, header: str, main: str, footer: str) -> str:
    """A complete HTML document that stands alone, without scripts, fonts or pictures from anywhere else; the last three
    are HTML."""
    style = files("stream.report").joinpath("report.css").read_text("utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
{header}
</header>
<main>
{main}
</main>
<footer>{footer}</footer>
</body>
</html>
"""


def number(value: float, digits: int = 3) -> str:
    """A number for reading, a dash where there is none."""
    return f"{value:,.{digits}f}" if math.isfinite(value) else "–"


def tiles(shown: Iterable[tuple[str, str, str, str]]) -> str:
    """Headline figures: of each its name, its value, what there is to add, and `good`, `warn`, `bad` or nothing."""
    return f'<dl class="tiles">{"".join(_tile(*each) for each in shown)}</dl>'


def _tile(name: str, value: str, more: str, style: str) -> str:
    return (
        f'<div class="tile"><dt>{escape(name)}</dt><dd class="value {style}">{escape(value)}</dd>'
        f'<dd class="more">{escape(more)}</dd></div>'
    )


def figure(title: str, subtitle: str, chart: str, rows: str) -> str:
    """A chart under its title, and the same in figures (a `table`) one click away."""
    figures = f"<details><summary>In figures</summary>{rows}</details>" if rows else ""
    return f"<figure><figcaption><h3>{escape(title)}</h3>{escape(subtitle)}</figcaption>{chart}{figures}</figure>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls sideways by itself, or nothing without rows; the first cell of a row names it."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    if not body:
        return ""
    # A box that scrolls must be reachable by keyboard.
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
    )
