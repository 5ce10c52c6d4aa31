"""The topics of the contract: what each must be, and in which points one that was found differs. No broker here.

`stream.topics_admin` makes and checks them. The order of `contract` is the order in which they are made and grown:
the changelog first and turns last, so that no turn ever lands in a partition that has no state yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from stream.settings import Settings

METADATA_MS = 5_000
"""Between two looks of a client at the topics: so late, at most, does a worker see partitions that were added. A look
is a few hundred bytes; aiokafka's own five minutes would leave turns in them unmoderated that long."""
MINUTE = 60_000
DAY = 24 * 60 * MINUTE
BROKER_MESSAGE_BYTES = 1_048_588  # Kafka's message.max.bytes unless changed: 1 MiB and a record batch's 12 bytes


class Fit(Enum):
    """How a topic's setting must compare with the contract's."""

    EXACTLY = "exactly"
    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True)
class Want:
    """One setting of a topic: its value as Kafka writes it, how it must fit, and why."""

    value: str
    fit: Fit
    why: str

    def accepts(self, found: str) -> bool:
        """Whether a topic with this value keeps the contract."""
        if self.fit is Fit.EXACTLY:
            return found == self.value
        return int(found) >= int(self.value) if self.fit is Fit.AT_LEAST else int(found) <= int(self.value)


@dataclass(frozen=True)
class TopicNames:
    """The exact name of each topic; the changelog's is the one that Faust derives from the app id and `state`."""

    turns: str
    labels: str
    verdicts: str
    dead_letters: str
    weights: str
    moments: str
    experts: str
    requests: str
    changelog: str

    @classmethod
    def of(cls, settings: Settings) -> TopicNames:
        """Returns the names under these settings' prefix and app id."""
        prefix = settings.topic_prefix
        return cls(
            turns=f"{prefix}turns.v1",
            labels=f"{prefix}labels.v1",
            verdicts=f"{prefix}verdicts.v1",
            dead_letters=f"{prefix}dead-letters.v1",
            weights=f"{prefix}weights.v1",
            moments=f"{prefix}moments.v1",
            experts=f"{prefix}experts.v1",
            requests=f"{prefix}requests.v1",
            changelog=f"{settings.app_id}-state-changelog",
        )


@dataclass(frozen=True)
class TopicSpec:
    """What one topic must be: partitions, copies, and its settings by Kafka's names."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, Want] = field(default_factory=dict)
    partitions_fit: Fit = Fit.EXACTLY
    """EXACTLY: as many as each other topic of which a partition belongs to the same owner, see `compare_counts`."""


@dataclass(frozen=True)
class TopicFound:
    """What a broker says one topic is; `config` holds the effective values, the broker's defaults among them."""

    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class Mismatch:
    """One point in which a topic differs from the contract; its text is one line with the command that mends it.

    `mendable`: `aegis topics create` mends it. `refused`: a worker must not run on it.
    """

    topic: str
    problem: str
    remedy: str
    mendable: bool = True
    refused: bool = True

    def __str__(self) -> str:
        return f"topic {self.topic} {self.problem}: {self.remedy}"


DELETE = Want("delete", Fit.EXACTLY, "compaction keeps one record a conversation and drops its other turns")
COMPACT = Want("compact", Fit.EXACTLY, "each key's newest record must be kept however old it is")

LOG = {"cleanup.policy": DELETE}
PROJECTION = {"cleanup.policy": COMPACT}
CHANGELOG = {
    # Never "compact,delete": a pending turn expires by a tombstone of its own, and moments never expire.
    "cleanup.policy": COMPACT,
    "min.compaction.lag.ms": Want(
        str(10 * MINUTE), Fit.AT_LEAST, "an owner that finds a gap must be able to read every record in it"
    ),
    "delete.retention.ms": Want(
        str(DAY), Fit.AT_LEAST, "a standby that was away for less must still see every tombstone"
    ),
    "max.compaction.lag.ms": Want(
        str(DAY // 4), Fit.AT_MOST, "recovery reads what is not compacted yet: six hours of it at most"
    ),
}
DEAD_LETTERS = {
    "cleanup.policy": DELETE,
    "retention.ms": Want(
        str(30 * DAY), Fit.EXACTLY, "time to mend and send again, and no longer: they hold people's texts"
    ),
    "max.message.bytes": Want(
        str(2 * BROKER_MESSAGE_BYTES),
        Fit.AT_LEAST,
        "the largest message a broker takes must fit with the reason around it",
    ),
}


def contract(settings: Settings, partitions: int | None = None) -> tuple[TopicSpec, ...]:
    """Returns every topic that the worker reads or writes, in the order in which they must be made and grown.

    `partitions`: AEGIS_PARTITIONS unless given.
    """
    names, copies = TopicNames.of(settings), settings.replication_factor
    many = partitions or settings.partitions
    return (
        TopicSpec(names.changelog, many, copies, CHANGELOG),
        TopicSpec(names.moments, many, copies, PROJECTION),
        TopicSpec(names.weights, 1, copies, PROJECTION, Fit.AT_LEAST),
        TopicSpec(names.experts, 1, copies, PROJECTION, Fit.AT_LEAST),
        TopicSpec(names.requests, 1, copies, PROJECTION, Fit.AT_LEAST),
        TopicSpec(names.dead_letters, many, copies, DEAD_LETTERS),
        TopicSpec(names.verdicts, many, copies, LOG),
        TopicSpec(names.labels, many, copies, LOG),
        TopicSpec(names.turns, many, copies, LOG),
    )


def fitted(specs: tuple[TopicSpec, ...], names: TopicNames, found: Mapping[str, TopicFound]) -> tuple[TopicSpec, ...]:
    """Returns the contract for topics as they are: dead letters must take twice the largest record of any source."""
    key = "max.message.bytes"
    sources = [found[name] for name in (names.turns, names.labels) if name in found]
    largest = max((int(source.config[key]) for source in sources), default=BROKER_MESSAGE_BYTES)
    room = replace(DEAD_LETTERS[key], value=str(2 * max(largest, BROKER_MESSAGE_BYTES)))
    return tuple(
        replace(spec, config={**spec.config, key: room}) if spec.name == names.dead_letters else spec for spec in specs
    )


def compare(spec: TopicSpec, found: TopicFound | None) -> list[Mismatch]:
    """Returns every point in which a topic differs from its description; None stands for a topic that is not there."""
    if found is None:
        return [Mismatch(spec.name, "does not exist", "run `aegis topics create`")]
    wrong = _copies(spec, found)
    for key, want in spec.config.items():
        if not want.accepts(found.config[key]):
            problem = f"has {key}={found.config[key]}, and must have {want.fit.value} {want.value}, since {want.why}"
            wrong.append(Mismatch(spec.name, problem, "run `aegis topics create`, which alters it"))
    return wrong


def counts_of(specs: tuple[TopicSpec, ...], partitions: Mapping[str, int]) -> dict[str, int]:
    """Returns the partitions of those topics, of `partitions` by name, that have as many as each other: in the order in
    which they are grown."""
    together = [spec.name for spec in specs if spec.partitions_fit is Fit.EXACTLY]
    return {name: partitions[name] for name in together if name in partitions}


def compare_counts(counts: Mapping[str, int], asked: int) -> list[Mismatch]:
    """Returns what is wrong with the partitions that `counts_of` gave.

    What the broker has is right, whatever AEGIS_PARTITIONS asks for, if all have as many, or fewer the later they are
    grown: then a growth is under way, or has stopped in the middle.
    """
    most = max(counts.values(), default=asked)
    behind = {name: count for name, count in counts.items() if count < most}
    remedy = f"run `aegis topics grow --partitions {max(most, asked)}`"
    if not behind and most < asked:
        name = list(counts)[-1]
        problem = f"has partitions={most}, AEGIS_PARTITIONS asks for {asked}"
        return [Mismatch(name, problem, f"{remedy}, which adds them to every topic", mendable=False, refused=False)]
    is_growth = list(counts.values()) == sorted(counts.values(), reverse=True)
    why = "which goes on with a growth that is under way" if is_growth else "which adds them"
    return [
        Mismatch(name, f"has partitions={count} and needs {most}", f"{remedy}, {why}", False, refused=not is_growth)
        for name, count in behind.items()
    ]


def _copies(spec: TopicSpec, found: TopicFound) -> list[Mismatch]:
    if found.replication >= spec.replication:
        return []
    problem = f"has replication={found.replication}, AEGIS_REPLICATION_FACTOR asks for {spec.replication}"
    remedy = f"move it with kafka-reassign-partitions, or set AEGIS_REPLICATION_FACTOR={found.replication}"
    return [Mismatch(spec.name, problem, remedy, mendable=False, refused=False)]
