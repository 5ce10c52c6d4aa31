"""Since when regret is counted, where votes were counted anew.

A revocation, or annotators who are trusted otherwise than before, takes rounds out of the moments from which turns were
forecast already. No bound speaks of those forecasts, so regret is counted from where every partition has counted its
votes anew. The owner of a partition says so in `requests.v1`, behind the moments that it has published; the owner of
partition 0 keeps a copy of their total then (a baseline), for which all of them must have come to it."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import structlog
from aiokafka.errors import KafkaError

from stream.counting import Countings
from stream.errors import WriteError
from stream.settings import Settings
from stream.state import tenant_of
from stream.topics import TopicNames
from stream.view import MergedView

log = structlog.get_logger()

LOOK_SECONDS = 0.5
"""Between two looks at what the partitions have answered."""
_WRITTEN: Final = re.compile(r"\+(\d+)\.(\d+)")
_Through = Mapping[int, int]
UNKNOWN: Final = "?"
"""The limits by which the votes of a new context are counted while the partitions count by several."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """Of one context: the newest revocation that all partitions have carried out (offsets by partition of
    `requests.v1`), and the digest of the limits by which its votes are counted; empty without any."""

    through: _Through = field(default_factory=dict)
    limits: str = ""

    def __str__(self) -> str:
        places = "".join(f"+{partition}.{offset}" for partition, offset in sorted(self.through.items()))
        return places + (f"~{self.limits}" if self.limits else "")

    @classmethod
    def read(cls, written: str) -> Self:
        """Of what `str` made, behind anything without a `+` or `~`."""
        places, _, limits = written.partition("~")
        return cls({int(partition): int(offset) for partition, offset in _WRITTEN.findall(places)}, limits)


class Epochs:
    """What has been carried out in all partitions, as this worker has heard and its view has read."""

    def __init__(
        self,
        settings: Settings,
        countings: Countings,
        partitions: Callable[[], int],
        view: MergedView,
        begun: Callable[[], None],
    ) -> None:
        """`partitions`: of the state, now. `begun` is called when an epoch has begun, of whichever contexts."""
        self._moments, self._deadline = TopicNames.of(settings).moments, settings.write_timeout
        self._countings = countings
        self._partitions = partitions
        self._view = view
        self._begun = begun
        self._limits = countings.limits_digest().hex()
        self._through: dict[str | None, _Through] = {}
        self._agreed = ""
        self._looked: tuple[int, int] | None = None
        self._is_prepared = asyncio.Event()

    async def prepare(self) -> None:
        """Before the first input of a generation, when the requests are read to their end: what no partition has
        answered by now tells nothing before that. Raises WriteError when the view does not come to its end in time."""
        try:
            async with asyncio.timeout(self._deadline):
                await self.look()
        except (TimeoutError, KafkaError) as error:
            seconds = f"{self._deadline:g} s"
            raise WriteError(f"{self._moments} was not read to its end in {seconds}: is all of it online?") from error
        self._is_prepared.set()

    async def run(self) -> None:
        """For ever."""
        await self._is_prepared.wait()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except KafkaError as error:
                log.warning("epoch_waits", why=type(error).__name__, remedy="is the broker there? it is asked again")

    async def look(self) -> None:
        """Whether the partitions have answered something; if so, once their moments are here it has effect. Raises
        KafkaError, with nothing changed, when the broker does not say what there is to read."""
        requests, partitions = self._countings.requests, self._partitions()
        looked = requests.heard, partitions
        if looked == self._looked:
            return
        through, agreed = dict(self._through), requests.limits_in(partitions)
        agreed = self._agreed if agreed is None else agreed
        for asked in requests.recounted_in(partitions).values():
            tenant, (partition, offset) = asked.request.tenant, asked.place
            through[tenant] = _later(through.get(tenant, {}), {partition: offset})
        if (through, agreed) != (self._through, self._agreed):
            await self._view.reads_all(partitions)
            self._through, self._agreed = through, agreed
            self._begun()
        self._looked = looked

    def of(self, context: str, known: Epoch | None) -> Epoch:
        """The epoch of a context, of which `known` was recorded before: it is never an earlier one, also while a
        partition that was added, or whose owner has other settings, has not answered."""
        known = Epoch(limits=UNKNOWN) if known is None else known
        through = _later(known.through, self._through.get(None, {}), self._through.get(tenant_of(context), {}))
        limits = self._countings.limits_of(context) if self._agreed == self._limits else known.limits
        return Epoch(through, limits)


def _later(*all_of_them: _Through) -> _Through:
    found: dict[int, int] = {}
    for through in all_of_them:
        for partition, offset in through.items():
            found[partition] = max(offset, found.get(partition, -1))
    return found
