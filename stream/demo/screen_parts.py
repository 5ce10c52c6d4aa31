"""What the live screen is made of: bars, sparklines and safe text, as functions of figures."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

LABEL_STYLES = {"safe": "green", "needs_caution": "yellow", "unsafe": "bold red"}
EXPERT_STYLES = ("blue", "dark_orange", "cyan", "magenta", "bright_magenta", "bright_cyan")
LEVELS = "▁▂▃▄▅▆▇█"
MOST_TEXT = 60  # characters of a turn's text on the screen
MOST_REGRET = 1.0  # the regret bar is full where regret meets its bound


def plain_text(text: str, most: int = MOST_TEXT) -> str:
    """One printable line of at most `most` characters: control characters of a message must not reach the terminal."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def bar(share: float, width: int) -> str:
    """A bar of `width` cells, filled by `share` of [0, 1]; empty where the share is not a number."""
    filled = round(min(1.0, max(0.0, share)) * width) if math.isfinite(share) else 0
    return "█" * filled + "░" * (width - filled)


def sparkline(values: Iterable[float]) -> str:
    """A character a value, values in [0, 1]; a blank where there is none."""
    return "".join(
        LEVELS[min(len(LEVELS) - 1, int(min(1.0, max(0.0, value)) * len(LEVELS)))] if math.isfinite(value) else " "
        for value in values
    )


def figure(value: Any, digits: int = 2) -> str:
    """A number of a wire record, which is null where there is none, as text."""
    known = as_number(value)
    return f"{known:.{digits}f}" if math.isfinite(known) else "–"


def percent(share: float) -> str:
    """A share as `42%`, a dash where it is unknown."""
    return f"{share:.0%}" if math.isfinite(share) else "–"


def as_number(value: Any) -> float:
    """A number of a wire record as a float: NaN where it is null or missing."""
    return float(value) if isinstance(value, int | float) else math.nan


def regret_share(weights: Mapping[str, Any]) -> float:
    """The largest regret to an expert as a share of the bound; NaN where either is unknown."""
    regrets = [as_number(each.get("regret")) for each in weights.get("experts", ())]
    worst = max((regret for regret in regrets if math.isfinite(regret)), default=math.nan)
    bound = as_number(weights.get("bound"))
    return worst / bound if bound > 0 else math.nan


def leader(weights: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The expert with the largest weight, None without experts."""
    experts = [each for each in weights.get("experts", ()) if math.isfinite(as_number(each.get("weight")))]
    return max(experts, key=lambda each: as_number(each["weight"]), default=None)


def verdict_row(verdict: Mapping[str, Any], text: str) -> tuple[Text, ...]:
    """A verdict as the cells of a table: label, score, context, experts, text."""
    label = str(verdict["label"])
    experts = Text()
    for place, opinion in enumerate(verdict.get("experts", ())):
        ok = opinion.get("status") == "ok"
        experts.append(f"{figure(opinion.get('score'))} " if ok else f"{opinion.get('status')} ", expert_style(place))
    return (
        Text(label.replace("_", " "), LABEL_STYLES.get(label, "")),
        Text(figure(verdict.get("score"))),
        Text(plain_text(str(verdict.get("context", "")), 20), "dim"),
        experts,
        Text(plain_text(text)),
    )


def expert_style(place: int) -> str:
    """The colour of the expert at a place of the panel; beyond six they repeat."""
    return EXPERT_STYLES[place % len(EXPERT_STYLES)]


def weights_table(weights: Mapping[str, Any], moved: Mapping[str, Iterable[float]], width: int) -> Table:
    """One context: a bar and a sparkline for every expert, and the regret against its bound."""
    table = Table.grid(padding=(0, 1))
    for place, expert in enumerate(weights.get("experts", ())):
        name, weight = str(expert.get("id", "")), as_number(expert.get("weight"))
        style = expert_style(place)
        line = sparkline(moved.get(name, ()))
        table.add_row(
            plain_text(name.partition("@")[0], 12), Text(bar(weight, width), style), figure(weight), Text(line, style)
        )
    share = regret_share(weights)
    style = "bold red" if weights.get("alarm") or share > MOST_REGRET else "green"
    state = (
        "ALARM"
        if weights.get("alarm")
        else f"{percent(share)} of the bound"
        if math.isfinite(share)
        else "no bound yet"
    )
    table.add_row(
        "regret", Text(bar(share, width), style), Text(figure(weights.get("bound")), "dim"), Text(state, style)
    )
    return table
