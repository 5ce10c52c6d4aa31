"""Labels that a service of ours publishes are on the topic when it says so."""

from __future__ import annotations

import asyncio

from stream.codecs import decode_label
from stream.labelling import Labelling
from stream.records import Label
from stream.settings import Settings
from stream.topics import TopicNames
from support.flow import label
from support.kafka import consume_until


async def test_labels_are_with_the_broker_under_their_conversation_when_publishing_returns(topics: Settings) -> None:
    labels = [label(f"t{number}", annotator="ann") for number in range(20)]
    async with Labelling(topics) as labelling:
        assert await asyncio.gather(*(labelling.publish(labels[n : n + 5]) for n in range(0, 20, 5))) == [{}] * 4
    topic = TopicNames.of(topics).labels
    records = await consume_until(topics.broker, topic, lambda records: len(records) >= len(labels))
    assert {record.key.decode() for record in records} == {each.conversation_id for each in labels}
    found = [decode_label(record.value) for record in records]
    assert sorted(each.turn_id for each in found if isinstance(each, Label)) == sorted(e.turn_id for e in labels)


async def test_a_label_that_the_broker_does_not_take_is_named_and_the_others_go(topics: Settings) -> None:
    labels = [label("good"), label("long", categories=("x" * 2_000_000,)), label("good too")]
    async with Labelling(topics) as labelling:
        refused = await labelling.publish(labels)
    assert list(refused) == [1]
    assert "the broker refused it" in refused[1]
