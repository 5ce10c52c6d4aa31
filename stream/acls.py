"""The least that a broker must allow each kind of client: what `aegis topics acls` prints. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from stream.settings import Settings
from stream.topics import TopicNames, contract

Role = Literal["worker", "producer", "labeller", "reader", "analyst", "gateway", "mender", "console", "operator"]
ROLES: Final[dict[Role, str]] = {
    "worker": "aegis worker",
    "producer": "aegis produce; whoever publishes turns",
    "labeller": "aegis produce --topic labels; whoever publishes labels",
    "reader": "aegis tail; whoever reads verdicts, weights and dead letters",
    "analyst": "aegis explain, replay",
    "gateway": "aegis gateway: turns and labels come in, verdicts go out; the rest is for --mode direct",
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
    if role == "worker":
        return _of_workers(settings)
    if role == "operator":
        return _of_operators(settings)
    t, group = TopicNames.of(settings), settings.app_id
    # The changelog has the votes and the advice of every turn that waits for labels.
    explained = (t.turns, t.verdicts, t.labels, t.weights, t.moments, t.experts, t.requests, t.changelog)
    others: dict[Role, tuple[Grant, ...]] = {
        "producer": (Grant(("Write",), (t.turns,)),),
        "labeller": (Grant(("Write",), (t.labels,)),),
        "reader": (Grant(("Read",), (t.verdicts, t.weights, t.dead_letters)),),
        "analyst": (Grant(("Read",), explained),),
        "console": (
            Grant(("Read",), (*explained, t.dead_letters)),
            Grant(("Write",), (t.labels,)),
            Grant(("Describe",), group=group),  # who owns what, and how far it has come
        ),
        "gateway": (Grant(("Read",), (t.verdicts, t.moments, t.experts)), Grant(("Write",), (t.turns, t.labels))),
        "mender": (Grant(("Read",), (t.dead_letters,)), Grant(("Write",), (t.turns, t.labels))),
    }
    return others[role]


def _of_workers(settings: Settings) -> Sequence[Grant]:
    names = TopicNames.of(settings)
    read = (names.turns, names.labels, names.changelog, names.moments, names.experts, names.requests)
    # Labels are forwarded, and sent again when their turn comes.
    outputs = (names.verdicts, names.dead_letters, names.weights, names.moments, names.changelog)
    return (
        Grant(("Read",), read, group=settings.app_id),
        Grant(("Write",), (names.labels, names.requests, *outputs)),
        Grant(("DescribeConfigs",), _every(settings)),  # it checks every topic at start
        Grant(("Write",), transactional_prefix=f"{settings.app_id}-"),  # the fence of each partition
    )


def _of_operators(settings: Settings) -> Sequence[Grant]:
    names = TopicNames.of(settings)
    # Offsets, modes, what a request came to, and what topics still hold of what was forgotten.
    looks = (names.turns, names.labels, names.verdicts, names.dead_letters, names.changelog)
    return (
        Grant(("Create", "Alter", "AlterConfigs", "DescribeConfigs", "Delete"), _every(settings)),
        Grant(("Read",), (*looks, names.experts, names.requests), group=settings.app_id),
        Grant(("Write",), (names.experts, names.requests, names.moments)),  # moments.v1: where turns can be
    )


def _every(settings: Settings) -> tuple[str, ...]:
    return tuple(spec.name for spec in contract(settings))


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
