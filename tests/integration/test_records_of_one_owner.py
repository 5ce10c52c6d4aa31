"""What one worker records for all (`moments.v1[0]`): its successor knows all of it, and nothing comes behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from experts.executor import Panel
from experts.fakes import ConstantExpert
from stream.errors import FencedError
from stream.metrics import Metrics
from stream.policies import Policies
from stream.producer import Producer
from stream.projection import count_record, prior_record
from stream.roster import Roster
from stream.settings import Settings
from stream.topics import TopicNames
from stream.view import MergedView
from stream.weights import WeightsPublisher


def publisher_of(settings: Settings, producer: Producer, view: MergedView) -> WeightsPublisher:
    ownership: Any = SimpleNamespace(partitions={0: None})
    roster = Roster(Panel([ConstantExpert(0.5, "e")]))
    return WeightsPublisher(settings, producer, ownership, view, Policies(settings), roster, Metrics())


async def test_a_prior_from_before_the_claim_is_known_and_one_that_comes_after_it_is_refused(topics: Settings) -> None:
    moments, view = TopicNames.of(topics).moments, MergedView(topics)
    older, newer = Producer(topics), Producer(topics)
    reading = asyncio.create_task(view.run())
    try:
        for producer in (older, newer):
            await producer.start([moments, TopicNames.of(topics).turns])
        await older.fence(moments, 0)
        await older.append(moments, 0, [prior_record("a/user", {"e@1": 1.0})])
        await newer.fence(moments, 0)
        await publisher_of(topics, newer, view).prepare()
        assert view.priors == {"a/user": {"e@1": 1.0}}
        assert view.partition_counts == [topics.partitions]
        with pytest.raises(FencedError, match=r"moments.v1\[0\]"):
            await publisher_of(topics, older, view)._record([count_record(9)])
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        for producer in (older, newer):
            await producer.stop()
