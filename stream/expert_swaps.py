"""Follows `experts.v1` while the worker runs: loads what is wanted, and hands the roster its next line.

Nothing waits for it but the start: batches are scored by the line they began with. What cannot be followed is one log
line and a count, and what runs goes on."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from experts.base import Expert
from experts.errors import ExpertsError
from experts.executor import Panel
from stream.apart import apart
from stream.expert_modes import ENABLED, SHADOW, Lineup, Wish, Wishes, lineup
from stream.following import existing, follow
from stream.metrics import Metrics
from stream.roster import Line, Roster
from stream.settings import Settings
from stream.topics import TopicNames

log = structlog.get_logger()

LOAD_SECONDS = 600.0
"""For one expert: a 7B guard on a slow disk takes minutes, and one that hangs must not be awaited for ever."""
NEVER: Final = Wish(ENABLED, (-1, -1))
"""No record's."""

Load = Callable[[str], Expert]
"""The expert of a name. Blocks; raises ExpertsError, one line, if it is not there or cannot be used."""


@dataclass(frozen=True, slots=True)
class Supply:
    """Where experts come from: the names of those that the worker starts with, in their order, and how others are
    loaded."""

    names: tuple[str, ...]
    load: Load


class ExpertSwaps:
    """Between the topic and the roster. `changed` is called after each change of who is asked or votes."""

    def __init__(
        self, settings: Settings, roster: Roster, supply: Supply, metrics: Metrics, changed: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._topic = TopicNames.of(settings).experts
        self._roster = roster
        self._load = supply.load
        self._metrics = metrics
        self._changed = changed
        self._base = supply.names
        self._loaded = dict(zip(supply.names, roster.latest.panel.experts, strict=True))
        self._wishes = Wishes()
        self._refused = dict[str, Wish | None]()
        self._unmet = dict[str, Wish]()
        self._news = asyncio.Event()
        self._settled = asyncio.Event()
        self._count()

    async def ready(self) -> None:
        """Returns when every record from before the start has been followed, as far as it can be."""
        await self._settled.wait()

    async def read(self) -> None:
        """For ever: read the topic from its beginning. Raises TopicsError or BrokerError, one line."""
        async for records in existing(self._settings, self._topic):
            self._wishes.learn(records)
        self._news.set()
        async for records in follow(self._settings, self._topic, from_beginning=True):
            self.hear(records)

    def hear(self, records: Sequence[Any]) -> None:
        """Records of the topic, read for the first time or again: what is new will be followed."""
        if self._wishes.learn(records):
            self._news.set()

    async def arrange(self) -> None:
        """For ever: follow what was read. An expert that could not be loaded is tried again with its next record."""
        while True:
            await self._news.wait()
            self._heed()
            while (name := self._missing()) is not None:
                await self._bring(name)
                self._line_up()
            self._settled.set()

    def _heed(self) -> None:
        """Take the news in: follow at once what needs no loading."""
        self._news.clear()
        if self._wishes.unreadable:
            log.warning("expert_modes_unreadable", records=self._wishes.unreadable, topic=self._topic)
            self._wishes.unreadable = 0
        unmet = {name: self._wishes.wishes[name] for name in self._lineup().unmet}
        for name in [name for name, wish in unmet.items() if wish != self._unmet.get(name)]:
            self._complain(name, "no_voter", "no expert would vote: enable another one first")
        self._unmet = unmet
        self._line_up()

    def _lineup(self) -> Lineup:
        return lineup(self._base, self._wishes.wishes)

    def _missing(self) -> str | None:
        """The next that is wanted and not loaded, but for those that could not be since they were last asked for."""
        absent = (name for name in self._lineup().modes if name not in self._loaded)
        return next((name for name in absent if self._refused.get(name, NEVER) != self._wish(name)), None)

    def _wish(self, name: str) -> Wish | None:
        """The newest; none for an expert that only the settings name."""
        return self._wishes.wishes.get(name)

    async def _bring(self, name: str) -> None:
        """Load an expert and run it once, beside the batches; other news is followed meanwhile."""
        wish, bringing = self._wish(name), asyncio.ensure_future(self._loaded_and_warm(name))
        while not bringing.done():
            news = asyncio.ensure_future(self._news.wait())
            try:
                await asyncio.wait({bringing, news}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()
            if self._news.is_set():
                self._heed()
        try:
            self._loaded[name] = bringing.result()
        except ExpertsError as error:
            self._refuse(name, wish, str(error))
        except TimeoutError:
            self._refuse(name, wish, f"it was not loaded and run once within {LOAD_SECONDS:g} s")
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a new model must not stop those that run
            self._refuse(name, wish, f"loading it raised {type(error).__name__}")

    async def _loaded_and_warm(self, name: str) -> Expert:
        async with asyncio.timeout(LOAD_SECONDS):
            expert = await apart(partial(self._load, name), f"load-{name}")
            # Shares what runs already, such as a backbone.
            alone = self._roster.latest.panel.reshaped([expert])
            await apart(partial(_warm, alone), f"warm-{name}")
        return expert

    def _line_up(self) -> None:
        """Hand the roster the line that is wanted, of those that are loaded, if it is another one."""
        modes = {name: mode for name, mode in self._lineup().modes.items() if name in self._loaded}
        if ENABLED not in modes.values():
            return  # the only voter is still to be loaded, or cannot be: what runs goes on
        self._loaded = {name: self._loaded[name] for name in modes}
        before, experts = self._roster.latest, tuple(self._loaded[name] for name in modes)
        shadows = frozenset(self._loaded[name].id for name, mode in modes.items() if mode == SHADOW)
        if (experts, shadows) == (before.panel.experts, before.shadows):
            return
        try:
            panel = before.panel if experts == before.panel.experts else before.panel.reshaped(experts)
        except ExpertsError as error:
            self._give_up(error)
            return
        self._roster.replace(Line(panel, shadows))
        self._count()
        log.info("experts_changed", voters=list(self._roster.latest.voters), shadows=sorted(shadows))
        self._changed()

    def _give_up(self, error: ExpertsError) -> None:
        """Newly loaded experts that make no panel with the others, such as a second of one id, are not taken."""
        running = self._roster.latest.panel.experts
        for name in [name for name, expert in self._loaded.items() if expert not in running]:
            del self._loaded[name]
            self._refuse(name, self._wish(name), str(error))

    def _refuse(self, name: str, wish: Wish | None, detail: str) -> None:
        self._refused[name] = wish
        self._complain(name, "not_loadable", detail)

    def _complain(self, name: str, reason: str, detail: str) -> None:
        self._metrics.expert_changes_refused.labels(reason).inc()
        log.error("expert_mode_not_followed", expert=name, reason=detail, remedy="what runs goes on; then ask again")

    def _count(self) -> None:
        line = self._roster.latest
        self._metrics.expert_mode.clear()
        for expert in line.panel.ids:
            self._metrics.expert_mode.labels(expert, SHADOW if expert in line.shadows else ENABLED).set(1)


def _warm(panel: Panel) -> None:
    try:
        panel.warm_up()
    finally:
        panel.close()
