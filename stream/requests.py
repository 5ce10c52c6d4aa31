"""What operators ask of all workers, as it stands in `requests.v1`, and how far it is carried out. Pure.

A revocation says which votes do not count, an erasure whose text is to go. Both are rules from the moment at which they
are read: the learner counts by them, the scorer keeps no text that they forbid. What was stored before is brought in
line by the owner of each partition (`fulfilment`), which says so in the same topic."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from stream.codecs import UNREADABLE
from stream.records import Erasure, Fulfilment, Label, Request, Revocation, Turn
from stream.unread import Unread

_requests = msgspec.json.Decoder(Request)
_Asked = TypeVar("_Asked", Revocation, Erasure)


@dataclass(frozen=True, slots=True)
class Asked(Generic[_Asked]):
    """A request, and where it stands: partition and offset."""

    request: _Asked
    place: tuple[int, int]

    def is_within(self, through: Mapping[int, int]) -> bool:
        """Whether what was carried out up to these offsets holds it."""
        return through.get(self.place[0], -1) >= self.place[1]


@dataclass(slots=True)
class Requests:
    """The newest request under each key, from records read in any number of passes."""

    revocations: dict[bytes, Asked[Revocation]] = field(default_factory=dict)
    erasures: dict[bytes, Asked[Erasure]] = field(default_factory=dict)
    fulfilled: dict[int, Fulfilment] = field(default_factory=dict)
    through: dict[int, int] = field(default_factory=dict)
    """The last request by partition."""
    unreadable: int = 0
    """Records that are no request."""
    version: int = 0
    """Rises with each request that is read."""
    heard: int = 0
    """Rises with each record that is read."""
    _conversations: dict[tuple[str, str], int] = field(default_factory=dict)
    _turns: dict[tuple[str, str], int] = field(default_factory=dict)
    _unread: Unread = field(default_factory=Unread)

    def learn(self, records: Iterable[Any]) -> bool:
        """Take aiokafka's records in, in offset order within a partition; whether any was new."""
        return self._unread.hand(records, self._take)

    def _take(self, record: Any) -> None:
        key: bytes = record.key or b""
        self.heard += 1
        try:
            asked = _requests.decode(record.value) if record.value is not None else None
        except UNREADABLE:
            self.unreadable += 1
            return
        if isinstance(asked, Fulfilment):
            self.fulfilled[asked.partition] = asked
            return
        place = (record.partition, record.offset)
        if asked is None:  # nobody writes one: by hand, it makes workers forget what was asked, not undo it
            self.revocations.pop(key, None)
            self.erasures.pop(key, None)
            return
        if isinstance(asked, Revocation):
            self.revocations[key] = Asked(asked, place)
        else:
            self.erasures[key] = Asked(asked, place)
            self._index(asked)
        self.through[record.partition] = record.offset
        self.version += 1

    def _index(self, erasure: Erasure) -> None:
        for known, identifier in ((self._conversations, erasure.conversation_id), (self._turns, erasure.turn_id)):
            if identifier is not None:
                place = erasure.tenant, identifier
                known[place] = max(milliseconds(erasure.at), known.get(place, 0))

    def forgets_turn(self, turn: Turn, timestamp_ms: int) -> bool:
        """Whether the text of a turn with this broker's timestamp must not be kept."""
        if not self.erasures:
            return False
        conversation = self._conversations.get((turn.tenant, turn.conversation_id), -1)
        return timestamp_ms <= max(conversation, self._turns.get((turn.tenant, turn.turn_id), -1))

    def forgets_label(self, label: Label, timestamp_ms: int) -> bool:
        """Whether a label whose turn is not there must not be kept until it comes."""
        if not self.erasures:
            return False
        asked = self._conversations.get((label.tenant, label.conversation_id), -1)
        return timestamp_ms <= asked or (label.tenant, label.turn_id) in self._turns

    def revoked_in(self, tenant: str) -> dict[str, list[tuple[int, int]]]:
        """The spans of time, in ms, in which what each annotator said of this tenant's turns does not count."""
        spans: dict[str, list[tuple[int, int]]] = {}
        for asked in self.revocations.values():
            one = asked.request
            if not one.undone and one.tenant in (None, tenant):
                spans.setdefault(one.annotator, []).append((milliseconds(one.since), milliseconds(one.until)))
        return spans

    def revocations_after(self, through: Mapping[int, int]) -> bool:
        """Whether votes count otherwise than where all up to `through` is carried out."""
        return any(not asked.is_within(through) for asked in self.revocations.values())

    def recounted_in(self, partitions: int) -> dict[bytes, Asked[Revocation]]:
        """Revocations, or undone ones, that every partition has carried out."""
        if len(self.fulfilled) < partitions:
            return {}
        said = [one.through for number, one in self.fulfilled.items() if number < partitions]
        return {key: asked for key, asked in self.revocations.items() if all(map(asked.is_within, said))}

    def limits_in(self, partitions: int) -> str | None:
        """The digest of the limits by which every partition counts its votes; None while they differ. One that has
        never answered has none."""
        said = {self.fulfilled[number].limits if number in self.fulfilled else "" for number in range(partitions)}
        return said.pop() if len(said) == 1 else None

    def erasures_after(self, through: Mapping[int, int]) -> dict[bytes, Erasure]:
        """Those that are not carried out where all up to `through` is."""
        return {key: asked.request for key, asked in self.erasures.items() if not asked.is_within(through)}

    def newest_erasure(self) -> bytes:
        """Names all erasures so far; empty when there is none."""
        newest: dict[int, int] = {}
        for asked in self.erasures.values():
            partition, offset = asked.place
            newest[partition] = max(offset, newest.get(partition, -1))
        return json.dumps(sorted(newest.items())).encode() if newest else b""


def revocation_key(revocation: Revocation) -> bytes:
    """Under which a revocation stands in the topic: another one of the same annotator since another time stands beside
    it."""
    return _key("revoke", revocation.tenant, revocation.annotator, milliseconds(revocation.since))


def erasure_key(erasure: Erasure) -> bytes:
    if erasure.turn_id is not None:
        return _key("forget", erasure.tenant, "turn", erasure.turn_id)
    return _key("forget", erasure.tenant, "conversation", erasure.conversation_id)


def fulfilment_key(partition: int) -> bytes:
    return _key("fulfilled", partition)


def milliseconds(at: datetime) -> int:
    """Unix milliseconds of an instant."""
    return int(at.timestamp() * 1000)


def _key(*parts: str | int | None) -> bytes:
    return json.dumps(parts, ensure_ascii=False).encode()
