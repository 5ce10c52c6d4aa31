"""What experts cost: read from the metrics of workers, where their addresses are given."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

log = structlog.get_logger()

EVERY: Final = 10.0
"""Seconds between two readings."""
PATIENCE: Final = ClientTimeout(total=5.0)
METRIC: Final = "aegis_expert_seconds"
Sums = Mapping[str, tuple[float, float]]
"""By expert: seconds and batches since the worker began."""


class Costs:
    """Seconds a batch by expert, over the time between the last two readings of all workers."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)
        self._before: dict[str, Sums] = {}
        self.seconds: dict[str, float] = {}

    async def run(self) -> None:
        """For ever; returns at once where there is nobody to ask."""
        if not self._addresses:
            return
        async with ClientSession(timeout=PATIENCE) as session:
            while True:
                await self.read(session)
                await asyncio.sleep(EVERY)

    async def read(self, session: ClientSession) -> None:
        """Ask all workers once; one that does not answer is left out this time."""
        spent: dict[str, float] = defaultdict(float)
        batches: dict[str, float] = defaultdict(float)
        for address in self._addresses:
            try:
                async with session.get(address) as response:
                    response.raise_for_status()
                    now = sums(await response.text())
            except (ClientError, TimeoutError, ValueError) as error:
                log.warning("metrics_not_read", address=address, error=type(error).__name__)
                continue
            before = self._before.get(address, {})
            self._before[address] = now
            for expert, (seconds, count) in now.items():
                was = before.get(expert, (0.0, 0.0))
                if count < was[1]:  # the worker has begun anew
                    was = (0.0, 0.0)
                spent[expert] += seconds - was[0]
                batches[expert] += count - was[1]
        for expert, count in batches.items():
            if count > 0:
                self.seconds[expert] = spent[expert] / count


def sums(text: str) -> dict[str, tuple[float, float]]:
    """Of an answer of `/metrics`. Raises ValueError for what is none."""
    found: dict[str, tuple[float, float]] = {}
    for family in _families(text):
        if family.name == METRIC:
            for sample in family.samples:
                expert = sample.labels.get("expert", "")
                seconds, count = found.get(expert, (0.0, 0.0))
                if sample.name == f"{METRIC}_sum":
                    found[expert] = sample.value, count
                elif sample.name == f"{METRIC}_count":
                    found[expert] = seconds, sample.value
    return found


def _families(text: str) -> Iterable[Metric]:
    return text_string_to_metric_families(text)
