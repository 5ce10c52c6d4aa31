"""One worker gets a partition of every topic, also while their numbers differ."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata

from stream.assignment import WholePartitions

TOPICS = ["changelog", "labels", "turns"]
Held = Mapping[str, list[int]]
"""Topic to partitions."""


class Cluster:
    """As a client knows it: topic to number of partitions."""

    def __init__(self, **counts: int) -> None:
        self._counts = counts

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self._counts[topic])) if topic in self._counts else None


def assign(cluster: Cluster, **held: Held) -> dict[str, dict[str, list[int]]]:
    """What each worker gets, who had this before."""
    sensors = SimpleNamespace(on_assignment_start=lambda _: None, on_assignment_completed=lambda *_: None)
    tables = SimpleNamespace(data={}, changelog_topics={"changelog"})
    app: Any = SimpleNamespace(tables=tables, tracer=None, sensors=sensors)
    members = {
        name: ConsumerProtocolMemberMetadata(
            0, TOPICS, ClientMetadata(ClientAssignment(dict(had), {}), f"http://{name}", {}, {}).dumps()
        )
        for name, had in held.items()
    }
    found = WholePartitions(app).assign(cluster, members)
    return {name: {topic: sorted(of) for topic, of in given.assignment} for name, given in found.items()}


def everywhere(*partitions: int) -> Held:
    return {topic: list(partitions) for topic in TOPICS}


@pytest.mark.parametrize("ahead", [{"changelog": 7}, {"changelog": 7, "labels": 7}, {"turns": 7}])
def test_what_is_not_in_every_topic_is_nobodys(ahead: dict[str, int]) -> None:
    counts = {"changelog": 4, "labels": 4, "turns": 4, **ahead}
    given = assign(Cluster(**counts), a=everywhere(0, 1), b=everywhere(2, 3), c={})
    for topics in given.values():
        assert topics["changelog"] == topics["labels"] == topics["turns"]
    assert sorted(n for topics in given.values() for n in topics["turns"]) == [0, 1, 2, 3]


def test_what_is_added_goes_to_those_who_keep_what_they_had() -> None:
    given = assign(Cluster(changelog=6, labels=6, turns=6), a=everywhere(0, 1), b=everywhere(2, 3))
    assert set(given["a"]["turns"]) > {0, 1}
    assert set(given["b"]["turns"]) > {2, 3}
    assert given["a"] == dict.fromkeys(TOPICS, given["a"]["turns"])


def test_before_a_topic_is_heard_of_nothing_is_assigned() -> None:
    assert assign(Cluster(changelog=4, labels=4), a={}) == {"a": {}}
