"""The one worker that writes for all: the prior of a context once, and what is published of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ensemble import PERMISSIVE, Moments, cumulative
from stream import projection, weights
from stream.asking import unasked_of
from stream.epochs import Epoch
from stream.metrics import Metrics
from stream.policies import Policies
from stream.producer import Outgoing, Written
from stream.records import Weights
from stream.settings import Settings
from stream.topics import TopicNames
from stream.view import MergedView
from stream.weights import WeightsPublisher
from support.rounds import PANEL, learned, random_rounds

UNREAD = Settings(policy="sampled", policies={"sampled": {"ask": 0.5}})
_weights = msgspec.json.Decoder(Weights)


@dataclass
class Broker:
    """Acknowledges what it is sent, and shows it to the worker's view when told to."""

    sent: list[tuple[str, Outgoing]] = field(default_factory=list)

    def append(self, topic: str, partition: int, records: list[Outgoing]) -> asyncio.Future[list[Written]]:
        assert partition == 0
        self.sent += [(topic, record) for record in records]
        answer = asyncio.get_running_loop().create_future()
        answer.set_result([Written(0, len(records))])
        return answer


class Desk:
    """A publisher, its view and its broker."""

    owns = True
    """Partition 0."""

    def __init__(self, settings: Settings = UNREAD) -> None:
        self.names, self.broker, self.view = TopicNames.of(settings), Broker(), MergedView(settings)
        producer: Any = self.broker
        ownership: Any = SimpleNamespace(owner_of=lambda number, generation: self if self.owns else None)
        roster: Any = SimpleNamespace(latest=SimpleNamespace(voters=PANEL))
        self.publisher = WeightsPublisher(
            settings, producer, ownership, self.view, Policies(settings), roster, Metrics()
        )

    def part(self, context: str, moments: Moments, offset: int = 1) -> None:
        self.view.learn(0, projection.part_key(context), projection.encode_part(offset, moments))

    async def publish(self) -> dict[str, Weights]:
        """What was published now, by context."""
        before = len(self.broker.sent)
        await self.publisher._publish()
        told = [record.value for topic, record in self.broker.sent[before:] if topic == self.names.weights]
        return {one.context: one for one in map(_weights.decode, filter(None, told))}

    def priors(self) -> list[tuple[str, dict[str, float]]]:
        """Every prior that was written, in order."""
        return [
            (projection.context_of_key(record.key), projection.decode_prior(record.value))
            for topic, record in self.broker.sent
            if topic == self.names.moments and record.key and record.key.startswith(projection.PRIOR) and record.value
        ]


def first_rounds(seed: int, count: int = 20) -> Moments:
    """Of forecasts that had used no label."""
    rounds = random_rounds(seed, count, sampled=False)
    return learned(type(rounds)(**{**vars(rounds), "used": rounds.used * 0.0}))


async def test_the_first_context_of_all_begins_with_all_experts_alike_and_the_next_as_the_first_weighs() -> None:
    desk = Desk()
    desk.part("x/user", first_rounds(1))
    await desk.publish()
    desk.part("y/user", first_rounds(2))
    await desk.publish()
    (first, alike), (second, prior) = desk.priors()
    assert (first, alike, second) == ("x/user", {}, "y/user")
    assert list(prior) == list(PANEL)
    assert len(set(prior.values())) == len(PANEL)
    assert sum(prior.values()) == pytest.approx(1.0)


async def test_a_prior_is_written_once_and_before_anything_is_told_of_its_context() -> None:
    desk = Desk()
    for offset in (1, 2, 3):
        desk.part("x/user", first_rounds(1, 20 * offset), offset)
        await desk.publish()
    assert desk.priors() == [("x/user", {})]
    topics = [topic for topic, _ in desk.broker.sent]
    assert topics.index(desk.names.moments) < topics.index(desk.names.weights)


async def test_another_publisher_leaves_a_prior_that_it_has_read_as_it_is() -> None:
    desk = Desk()
    recorded = dict(zip(PANEL, (0.6, 0.1, 0.1, 0.1, 0.1), strict=True))
    desk.view.learn(0, projection.prior_key("x/user"), projection.encode_prior(recorded))
    desk.part("x/user", first_rounds(1))
    await desk.publish()
    assert desk.priors() == []
    assert desk.view.priors == {"x/user": recorded}


async def test_what_is_published_are_the_weights_from_which_this_worker_forecasts_now() -> None:
    desk = Desk()
    desk.part("x/user", first_rounds(1))
    told = (await desk.publish())["x/user"]
    policy = Policies(UNREAD).of("x/user")
    weights = desk.view.forecaster("x/user", policy, PANEL).weights().tolist()
    assert [standing.weight for standing in told.experts] == weights
    assert desk.view.forecaster("x/user", policy, PANEL).used == 20.0
    assert (told.rounds, told.unasked_rounds, told.reported_loss, told.reported_losses) == (20, 0, None, {})
    assert desk.view.changed == set(), "it is not told again"


async def test_labels_nobody_asked_for_are_told_under_their_context_and_learned_from_only_if_the_policy_says() -> None:
    desk = Desk()
    desk.part("x/user", first_rounds(1))
    desk.part(unasked_of("x/user"), first_rounds(2, 7))
    told = await desk.publish()
    assert list(told) == ["x/user"]
    assert (told["x/user"].rounds, told["x/user"].unasked_rounds) == (20, 7)
    assert told["x/user"].reported_loss == pytest.approx(told["x/user"].ensemble_loss + loss_of(first_rounds(2, 7)))
    counting = Desk(UNREAD.model_copy(update={"policies": {"sampled": {"ask": 0.5, "unasked": 1.0}}}))
    counting.part("x/user", first_rounds(1))
    counting.part(unasked_of("x/user"), first_rounds(2, 7))
    assert (await counting.publish())["x/user"].rounds == 27


async def test_a_context_that_has_only_labels_nobody_asked_for_waits_with_its_prior_until_one_was_asked_for() -> None:
    desk = Desk()
    desk.part(unasked_of("x/user"), first_rounds(2, 7))
    told = (await desk.publish())["x/user"]
    assert (told.rounds, told.unasked_rounds, desk.priors()) == (0, 7, [])
    desk.part("x/user", first_rounds(1))
    told = (await desk.publish())["x/user"]
    assert (told.rounds, told.unasked_rounds, desk.priors()) == (20, 7, [("x/user", {})])


def loss_of(moments: Moments) -> float:
    return float(cumulative(moments.total[0], PERMISSIVE))


async def test_while_many_contexts_wait_the_ones_that_learned_last_are_told_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights, "SHARE", 1e-12)
    desk = Desk()
    for number in range(2 * weights.TOGETHER):
        desk.part(f"t{number:02}/user", first_rounds(number, 3))
    told = list(await desk.publish())
    assert told == [f"t{number:02}/user" for number in range(weights.TOGETHER)]
    desk.part("z/user", first_rounds(99, 3))
    told = list(await desk.publish())
    assert told[0] == "z/user"
    told += list(await desk.publish())
    assert sorted(told) == [f"t{number:02}/user" for number in range(weights.TOGETHER, 2 * weights.TOGETHER)] + [
        "z/user"
    ]
    assert await desk.publish() == {}


async def test_an_epoch_counts_regret_from_where_it_begins_also_of_a_context_that_nobody_has_spoken_of() -> None:
    """As after a worker that learned and died before it published."""
    desk = Desk()
    desk.part("x/user", first_rounds(1))
    desk.publisher.epoch = lambda context, known: Epoch({0: 7})
    desk.publisher.begin()
    assert [(one.rounds, one.since_rounds) for one in (await desk.publish()).values()] == [(20, 20)]
    desk.part("x/user", first_rounds(1, 25), offset=2)
    desk.part("new/user", first_rounds(2))
    told = await desk.publish()
    assert {name: (one.rounds, one.since_rounds) for name, one in told.items()} == {
        "x/user": (25, 20), "new/user": (20, 0),
    }  # fmt: skip


async def test_without_an_epoch_regret_is_counted_from_the_first_round_and_one_that_stands_begins_once() -> None:
    desk = Desk()
    desk.part("x/user", first_rounds(1))
    desk.publisher.begin()
    assert [(one.rounds, one.since_rounds) for one in (await desk.publish()).values()] == [(20, 0)]
    for told, epoch in enumerate((Epoch({0: 7}), Epoch({0: 7}), Epoch({0: 7}, "ab")), 1):
        desk.publisher.epoch = lambda context, known, epoch=epoch: epoch  # type: ignore[misc]
        desk.part("x/user", first_rounds(1, 20 + told), offset=1 + told)
        since = [one.since_rounds for one in (await desk.publish()).values()]
        assert since == [(21, 21, 23)[told - 1]]


async def test_who_lost_partition_0_records_and_tells_nothing_more() -> None:
    desk = Desk()
    desk.part("acme/user", first_rounds(1))
    desk.owns = False
    assert await desk.publish() == {}
    assert desk.broker.sent == []
