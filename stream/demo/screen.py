"""What a person sees while the demonstration runs: a live screen, or plain lines where there is no terminal.

The records are those of the wire. They come from topics, so nothing in them is trusted to be printable.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream.demo.screen_parts import (
    as_number,
    figure,
    leader,
    percent,
    plain_text,
    regret_share,
    verdict_row,
    weights_table,
)

LINE_EVERY = 0.5  # seconds between plain lines: as fast as one can read along in a log
COUNTS_EVERY = 5.0  # seconds between plain lines of counters
REFRESHES = 6  # a second: smooth enough, and leaves the processor to the worker
MOVEMENTS = 18  # weights kept for a sparkline
TEXTS = 2000  # turns whose text is remembered until their verdict comes
NOTES = 4
MOST_FACT = 500  # characters of a line of the summary: a path or a command must stay whole
HEAD = 3  # lines on top: turns, labels, progress
CONTEXT_ROWS = 5  # of a context's panel: two experts, regret, borders
FEWEST_VERDICTS = 7  # rows that stay for verdicts below the weights: four, their head, borders
WIDE, TALL = 104, 32  # columns for two columns, rows for all notes
WEIGHTS_WIDTH = 52  # columns: name, bar, weight, sparkline, borders
MIX_STYLES = (("safe", "green"), ("needs_caution", "yellow"), ("unsafe", "red"))


class Screen:
    """Takes events from any thread and shows them, while it is entered as a context manager.

    `plain` prints lines instead, at most about two a second, apart from notes. `clock` gives seconds.
    """

    def __init__(self, plain: bool, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.plain = plain
        self.console = console
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._started = clock()
        self._last_line = self._last_counts = float("-inf")
        self._share = 0.0
        self._texts: dict[str, str] = {}
        self._verdicts: deque[tuple[Text, ...]] = deque(maxlen=60)
        self._weights: dict[str, Mapping[str, Any]] = {}
        self._moved: dict[str, dict[str, deque[float]]] = {}
        self._notes: deque[str] = deque(maxlen=NOTES)
        self._lock = threading.RLock()  # Live draws in a thread of its own
        self._live = None if plain else Live(self, console=console, screen=True, refresh_per_second=REFRESHES)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def turn(self, turn: Mapping[str, Any]) -> None:
        """A turn was sent: its text is kept, so that it can stand beside its verdict."""
        with self._lock:
            self.counts["turns"] += 1
            self._texts[str(turn["turn_id"])] = str(turn["text"])
            if len(self._texts) > TEXTS:
                del self._texts[next(iter(self._texts))]

    def verdict(self, verdict: Mapping[str, Any]) -> None:
        """A verdict was published."""
        with self._lock:
            self.counts["verdicts"] += 1
            self.counts[f"verdict {verdict['label']}"] += 1
            row = verdict_row(verdict, self._texts.get(str(verdict["turn_id"]), ""))
            self._verdicts.append(row)
            if verdict["label"] != "safe":
                label, score, context, _, text = (cell.plain for cell in row)
                self._line(f"verdict  {label:<13} {score}  {context}  {text}")
            self._count_line()

    def label(self, kind: str, label: Mapping[str, Any]) -> None:
        """A label was sent: `late`, `early`, `twice` or `corrected`."""
        with self._lock:
            self.counts["labels"] += 1
            self.counts[f"label {kind}"] += 1
            if kind != "late":
                self._line(f"label    {kind:<13} {plain_text(str(label['turn_id']))}: {label['label']}")
            self._count_line()

    def weights(self, weights: Mapping[str, Any]) -> None:
        """The ensemble published what it believes of a context."""
        with self._lock:
            context = str(weights["context"])
            before = leader(self._weights.get(context, {}))
            self._weights[context] = weights
            moved = self._moved.setdefault(context, {})
            for each in weights["experts"]:
                line = moved.setdefault(str(each["id"]), deque(maxlen=MOVEMENTS))
                line.append(as_number(each["weight"]))
            now = leader(weights)
            if weights.get("alarm"):
                self.note(f"ALARM: regret is above its bound in {context}: a bug, or a wrong label stream")
            elif now and (before is None or before["id"] != now["id"]):
                share = percent(regret_share(weights))
                told = f"{context}: {now['id']} leads with {figure(now['weight'])}, regret {share} of its bound"
                self._line(f"weights  {plain_text(told, 100)}")

    def dead_letter(self, reason: str) -> None:
        """A message was set aside."""
        with self._lock:
            self.counts["dead letters"] += 1
            self._line(f"dead letter  {plain_text(reason)}")

    def progress(self, share: float) -> None:
        """How much of the script, of [0, 1], has been sent."""
        with self._lock:
            self._share = min(1.0, max(0.0, share))

    def note(self, text: str) -> None:
        """Something that must be read: never left out."""
        with self._lock:
            self._notes.append(plain_text(text, 200))
            if self.plain:
                self._print(self._notes[-1])

    def summary(self, facts: Sequence[tuple[str, str]], where_next: Sequence[tuple[str, str]] = ()) -> None:
        """End the live screen; print what came of it (what, figure) and where to look next (where, what is there)."""
        self._close()
        width = max((len(name) for name, _ in facts), default=0)
        self._print("")
        for name, value in facts:
            self._print(f"{plain_text(name):<{width}}  {plain_text(value, MOST_FACT)}")
        if where_next:
            self._print("\nWhere to look next")
        for what, why in where_next:
            self._print(f"  {plain_text(what, MOST_FACT)}\n      {plain_text(why, MOST_FACT)}")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            yield self._layout(options.size.width, options.height or options.size.height)

    def _layout(self, width: int, height: int) -> Layout:
        # A small terminal has room for one note only, and none has room for many.
        notes = list(self._notes)[-1 if height < TALL else -NOTES :]
        foot = len(notes) + 2 if notes else 0
        body = self._body(width, height - HEAD - foot)
        layout, told = Layout(), Panel(Text("\n".join(notes)), title="notes", title_align="left", border_style="dim")
        layout.split_column(Layout(self._head(), size=HEAD), body, *([Layout(told, size=foot)] if notes else []))
        return layout

    def _body(self, width: int, height: int) -> Layout:
        """Verdicts beside the weights, or below them where two columns would show neither well."""
        body = Layout()
        if width >= WIDE:
            weights = Layout(self._weight_panels(height), size=WEIGHTS_WIDTH)
            body.split_row(Layout(self._verdict_panel(height)), weights)
        else:
            top = max(CONTEXT_ROWS, min(height - FEWEST_VERDICTS, CONTEXT_ROWS * len(self._weights)))
            weights = Layout(self._weight_panels(top), size=top)
            body.split_column(weights, Layout(self._verdict_panel(height - top)))
        return body

    def _head(self) -> RenderableType:
        counts = self.counts
        kinds = ", ".join(f"{counts[f'label {kind}']} {kind}" for kind in ("late", "early", "twice", "corrected"))
        mix = Text("  ").join(
            Text(f"{counts[f'verdict {name}']} {name.replace('_', ' ')}", style) for name, style in MIX_STYLES
        )
        shown = f"  turns {counts['turns']}  verdicts {counts['verdicts']}  "
        line = Text.assemble(("Aegis Stream", "bold"), shown, mix)
        labels = Text(f"labels {counts['labels']} ({kinds})  dead letters ")
        labels.append(str(counts["dead letters"]), "yellow" if counts["dead letters"] else "")
        labels.append(f"  {self._clock() - self._started:.0f} s")
        return Group(line, labels, ProgressBar(total=1.0, completed=self._share))

    def _verdict_panel(self, height: int) -> Panel:
        table = Table(box=None, pad_edge=False, expand=True, header_style="dim")
        for name, room in (("verdict", 13), ("score", 5), ("context", 16), ("experts", 20)):
            table.add_column(name, no_wrap=True, min_width=min(room, 5), max_width=room, overflow="ellipsis")
        table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
        for row in list(self._verdicts)[-max(1, height - 3) :]:
            table.add_row(*row)
        return Panel(table, title="last verdicts", title_align="left", border_style="dim")

    def _weight_panels(self, height: int) -> RenderableType:
        if not self._weights:
            return Panel(Text("no label has been learned yet", "dim"), title="weights", title_align="left")
        busiest = sorted(self._weights.items(), key=lambda item: -int(item[1]["rounds"]))
        panels: list[Panel] = []
        for context, weights in busiest:
            table = weights_table(weights, self._moved[context], width=12)
            height -= table.row_count + 2
            if height < 0 and panels:
                break
            title = f"{plain_text(context, 24)} · {weights['rounds']} labelled"
            panels.append(Panel(table, title=Text(title), title_align="left", border_style="dim"))
        return Group(*panels)

    def _close(self) -> None:
        """Give the terminal back; what is printed from now on stays. May be called again."""
        if self._live is not None:
            self._live.stop()

    def _line(self, text: str) -> None:
        """Print a plain line unless one was printed just now."""
        now = self._clock()
        if self.plain and now - self._last_line >= LINE_EVERY:
            self._last_line = now
            self._print(text)

    def _count_line(self) -> None:
        now = self._clock()
        if self.plain and now - self._last_counts >= COUNTS_EVERY:
            self._last_counts = now
            shown = ("turns", "verdicts", "labels", "dead letters")
            counts = ", ".join(f"{self.counts[name]} {name}" for name in shown)
            self._print(f"{now - self._started:4.0f} s   {counts}")

    def _print(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)
