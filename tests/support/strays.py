"""The oracle's part on what nobody should have written: records of no kind that is known, of no turn that was sent, or
under another key than their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Any, Final

import msgspec

from stream import dead_letters, projection, state
from stream.records import Verdict, Weights
from support.logs import Logs

MOMENTS: Final = (projection.PART, projection.BASELINE, projection.PRIOR)
PLACE: Final = (dead_letters.TOPIC, dead_letters.PARTITION, dead_letters.OFFSET)
_verdicts = msgspec.json.Decoder(Verdict)
_weights = msgspec.json.Decoder(Weights)


def differing_letters(letters: Iterable[Any]) -> Iterator[str]:
    """A message read again after a crash is set aside again, in the same words and in the partition it came from."""
    first: dict[tuple[bytes, ...], Any] = {}
    for letter in letters:
        ours = dict(letter.headers)  # of a name given twice the last, which is ours
        source = tuple(ours[name] for name in PLACE)
        same = first.setdefault(source, letter)
        if list(same.headers) != list(letter.headers) or int(source[1]) != letter.partition:
            yield f"{_named(source)} was set aside for different reasons, or in another partition than its own"


def strange_records(logs: Logs, tenants: Set[str]) -> Iterator[str]:
    """Of the topics that everybody reads; `tenants`: of the turns that were sent."""
    for record in logs.moments:
        kind, context = record.key[:1], record.key[1:].decode(errors="replace")
        counts = kind == projection.COUNTS
        if not counts and (kind not in MOMENTS or state.tenant_of(context) not in tenants):
            yield f"moments.v1 has a record that nobody asked for ({record.partition}, {record.offset})"
    for record in logs.weights:
        said = _weights.decode(record.value)
        if record.key != said.context.encode() or state.tenant_of(said.context) not in tenants:
            yield f"weights.v1 has a record that nobody asked for ({record.partition}, {record.offset})"
    for record in logs.verdicts:
        if record.key != _verdicts.decode(record.value).conversation_id.encode():
            yield f"a verdict has the key of another conversation ({record.partition}, {record.offset})"


def _named(source: tuple[bytes, ...]) -> str:
    return " ".join(part.decode() for part in source)
