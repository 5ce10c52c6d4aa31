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
_IDS = rb"-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_PARENT = re.compile(rb"00%b|(?!00|ff)[0-9a-f]{2}%b(?:-[!-~]{0,128})?" % (_IDS, _IDS))
_STATE = re.compile(rb"[ -~]+")
_SAMPLED_DIGITS: Final = frozenset(b"13579bdf")
"""The last of the flags, where its lowest bit is set."""


class TraceContext(NamedTuple):
    """Whose child a turn is: the headers as they came, `traceparent` first. A turn costs the check alone; what is in
    them is read where it is needed."""

    carried: list[tuple[str, bytes]]

    @property
    def is_sampled(self) -> bool:
        """Does whoever began the trace keep it?"""
        return self.carried[0][1][54] in _SAMPLED_DIGITS

    @property
    def trace_id(self) -> str:
        return self.carried[0][1][3:35].decode()

    @property
    def span_id(self) -> str:
        return self.carried[0][1][36:52].decode()

    @property
    def flags(self) -> int:
        return int(self.carried[0][1][53:55], 16)

    @property
    def state(self) -> str:
        """The `tracestate`; empty where there is none."""
        return self.carried[1][1].decode() if len(self.carried) > 1 else ""


def trace_context(headers: Sequence[tuple[str, bytes | None]]) -> TraceContext | None:
    """The context in a record's headers; None where there is none, more than one, or one that is malformed. A
    `tracestate` that is malformed, too long or there twice is left out."""
    parent: bytes | None = None
    states: list[bytes] | None = None
    for name, value in headers:
        if name == TRACEPARENT:
            if parent is not None:
                return None
            parent = value or b""
        elif name == TRACESTATE:
            states = [*(states or ()), value or b""]
    if parent is None or _PARENT.fullmatch(parent) is None:
        return None
    if states is None or len(states) > 1 or len(states[0]) > MOST_STATE_BYTES or not _STATE.fullmatch(states[0]):
        return TraceContext([(TRACEPARENT, parent)])
    return TraceContext([(TRACEPARENT, parent), (TRACESTATE, states[0])])
