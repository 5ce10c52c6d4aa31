"""The least that a broker must allow each kind of client: what `aegis topics acls` prints. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from stream.settings import Settings
from stream.topics import TopicNames, contract

Role = Literal["worker", "producer", "labeller", "reader", "mender", "console", "operator"]
ROLES: Final[dict[Role, str]] = {
    "worker": "aegis worker",
    "producer": "aegis produce; whoever publishes turns",
    "labeller": "aegis produce --topic labels; whoever publishes labels",
    "reader": "aegis tail; whoever reads verdicts, weights and dead letters",
    "mender": "aegis dead-letters list|show|replay",
    "console": "aegis console, with its review queue",
    "operator": "aegis topics, experts enable|shadow|disable, labels, forget; no worker may run as one",
}


class Grant(NamedTuple):
    """Operations on some topics, and on a group or on transactional ids. Kafka takes Describe as said with any of
    Read, Write, Delete and Alter."""

    operations: tuple[str, ...]
    topics: tuple[str, ...] = ()
    group: str = ""
    transactional_prefix: str = ""


def grants(settings: Settings, role: Role) -> Sequence[Grant]:
    """What a client of this kind needs, no more."""
    names, every = TopicNames.of(settings), tuple(spec.name for spec in contract(settings))
    if role == "worker":
        read = (names.turns, names.labels, names.changelog, names.moments, names.experts, names.requests)
        # Labels are forwarded, and sent again when their turn comes.
        outputs = (names.verdicts, names.dead_letters, names.weights, names.moments, names.changelog)
        written = (names.labels, names.requests, *outputs)
        return (
            Grant(("Read",), read, group=settings.app_id),
            Grant(("Write",), written),
            Grant(("DescribeConfigs",), every),  # it checks every topic at start
            Grant(("Write",), transactional_prefix=f"{settings.app_id}-"),  # the fence of each partition
        )
    if role == "operator":
        operations = ("Create", "Alter", "AlterConfigs", "DescribeConfigs", "Delete")
        # Offsets, modes, what a request came to, and what topics still hold of what was forgotten.
        looks = (names.turns, names.labels, names.verdicts, names.dead_letters, names.changelog)
        return (
            Grant(operations, every),
            Grant(("Read",), (*looks, names.experts, names.requests), group=settings.app_id),
            Grant(("Write",), (names.experts, names.requests, names.moments)),  # moments.v1: where turns can be
        )
    if role == "console":
        # turns.v1: the review queue shows texts by offset; changelog and moments: what explains a turn.
        looks = (names.turns, names.labels, names.verdicts, names.dead_letters, names.changelog)
        return (
            Grant(("Read",), (*looks, names.weights, names.experts, names.requests, names.moments)),
            Grant(("Write",), (names.labels,)),
            Grant(("Describe",), group=settings.app_id),  # who owns what, and how far it has come
        )
    if role == "mender":
        return (Grant(("Read",), (names.dead_letters,)), Grant(("Write",), (names.turns, names.labels)))
    if role == "reader":
        return (Grant(("Read",), (names.verdicts, names.weights, names.dead_letters)),)
    return (Grant(("Write",), (names.turns if role == "producer" else names.labels,)),)


def lines(settings: Settings, role: Role, principal: str) -> list[str]:
    """The grants as calls of Kafka's own tool."""
    return [shlex.join(_command(settings, grant, principal)) for grant in grants(settings, role)]


def _command(settings: Settings, grant: Grant, principal: str) -> list[str]:
    words = ["kafka-acls.sh", "--bootstrap-server", settings.broker, "--add", "--allow-principal", principal]
    for operation in grant.operations:
        words += ["--operation", operation]
    for topic in grant.topics:
        words += ["--topic", topic]
    if grant.group:
        words += ["--group", grant.group]
    if grant.transactional_prefix:
        words += ["--resource-pattern-type", "prefixed", "--transactional-id", grant.transactional_prefix]
    return words
