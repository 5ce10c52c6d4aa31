"""W3C Trace Context in a record's headers: read from a turn, and given on to what comes of it as it came.

A verdict carries the `traceparent` and `tracestate` of the record that it answers, the same bytes. So they are a
function of that record alone: one read again after a crash gets the same headers, whoever publishes it and whether
spans are exported or not; a turn that is *sent* again under another context gets the stored verdict, the same bytes,
under the context of the record that asked again. Nothing of it is kept in the state.

Headers may come from anyone: what is no valid context is not there, and goes no further."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
MOST_STATE_BYTES: Final = 512
"""Of `tracestate`: what the recommendation has everybody carry. A longer one is left out, as it allows."""
_PARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]{0,128})?"
)
_STATE = re.compile(rb"[ -~]+")
_SAMPLED: Final = 0x01


class TraceContext(NamedTuple):
    """Whose child a turn is. `carried`: the headers as they came."""

    trace_id: str
    span_id: str
    flags: int
    carried: list[tuple[str, bytes]]

    @property
    def is_sampled(self) -> bool:
        """Does whoever began the trace keep it?"""
        return bool(self.flags & _SAMPLED)

    @property
    def state(self) -> str:
        """The `tracestate`; empty where there is none."""
        return self.carried[1][1].decode() if len(self.carried) > 1 else ""


def trace_context(headers: Sequence[tuple[str, bytes | None]]) -> TraceContext | None:
    """The context in a record's headers; None where there is none, more than one, or one that is malformed."""
    parents = [value for name, value in headers if name == TRACEPARENT]
    found = _PARENT.fullmatch(parents[0] or b"") if len(parents) == 1 else None
    if found is None or (found[0].startswith(b"00") and found[4] is not None):
        return None
    carried = [(TRACEPARENT, found[0])]
    states = [value for name, value in headers if name == TRACESTATE]
    if len(states) == 1 and (value := states[0]) is not None and len(value) <= MOST_STATE_BYTES:
        carried += [(TRACESTATE, value)] if _STATE.fullmatch(value) else []
    return TraceContext(found[1].decode(), found[2].decode(), int(found[3], 16), carried)
