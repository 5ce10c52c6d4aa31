"""What was read and what was tried, in words: the same on a screen and on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stream.replay.results import Compared, Read, Replay, Run

SHORT: Final = (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0))


def figure(value: float | None) -> str:
    """A loss or a regret; a dash where there is none."""
    return "-" if value is None else f"{value:,.3f}"


def span(seconds: float) -> str:
    """A time in two or three figures: `50 s`, `2.9 h`."""
    unit, length = next((each for each in SHORT if seconds < 100.0 * each[1]), SHORT[-1])
    return f"{float(f'{seconds / length:.3g}'):g} {unit}"


def input_in_words(read: Read) -> str:
    """How much was read, and what of it is left out."""
    left = [*read.left_out.items(), *([("lines that cannot be read", read.bad)] if read.bad else [])]
    beside = f"; left out: {', '.join(f'{count:,} {why}' for why, count in left)}" if left else ""
    return f"{read.turns:,} turns, {read.labels:,} labels; {read.learned:,} turns are learned from{beside}."


def tried_in_words(found: Replay) -> str:
    """One sentence."""
    return f"Tried: {'; '.join(_tried(found))}."


def _tried(found: Replay) -> Iterator[str]:
    tried = found.tried
    yield f"policy {tried.policy}" if tried.policy else "the policies of the settings"
    for switch in tried.switches:
        name, _, when = switch.rpartition("@")
        yield f"{name} from {when} on"
    if tried.as_published:
        yield "the published scores, each from the labels that its verdict had read"
    else:
        late = [span(tried.delay)] if tried.delay else []
        late += [f"{tried.delay_turns:,} turns"] if tried.delay_turns else []
        yield f"labels {' and '.join(late)} later than they came" if late else "labels when they came"
    if tried.label_rate < 1.0:
        counted = f"each counted {1 / tried.label_rate:.4g} times"
        yield f"{tried.label_rate:.4g} of the turns labelled (seed {tried.seed}), {counted}"
    if tried.together > 1:
        yield f"{tried.together:,} labels learned together"
    names = tuple(dict.fromkeys(run.forecaster for run in found.runs))
    yield f"forecaster{'s' if len(names) > 1 else ''} {', '.join(names)}"
    if found.candidate is not None:
        asked = found.candidate
        missing = f", {asked.untold:,} turns have no text any more" if asked.untold else ""
        yield f"candidate {asked.id} (advised on {asked.scored:,} turns, slept on {asked.slept:,}{missing})"


def changes_in_words(run: Run, one: Compared) -> str:
    """How many verdicts of a run would be others."""
    share = one.changed / one.turns if one.turns else 0.0
    than = "in the published verdicts" if one.than == "published" else "without the candidate"
    return f"{run.title}: {one.changed:,} of {one.turns:,} turns ({share:.1%}) are decided otherwise than {than}."
