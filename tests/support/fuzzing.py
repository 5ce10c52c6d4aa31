"""Input that no well-meant writer makes: damaged records, and records of the right form with impossible contents.

Every text in them holds the canary, so that whoever quotes one is found out."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

CANARY: Final = "canary7f3e"
DEEP: Final = 100_000
"""Brackets: far more than any decoder's stack."""
TIMES: Final = (
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00-14:00",
    "9999-12-31T23:59:59.999999-23:59",
    "2016-12-31T23:59:60Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01T24:00:00Z",
    "2026-01-01t00:00:00z",
    "2026-01-01T00:00:00.123456789123Z",
    "-1000-01-01T00:00:00Z",
)
_EXTREMES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 10**4000),
    *(0.5, -0.0, 1e308, 5e-324, -1e308),
    *("", CANARY, CANARY * 100, f"\x00{CANARY}\x1b[2J", f"\u202e{CANARY}\U0001f600", f"{CANARY} - at `$.x`"),
    *([], {}, [[[]]], [CANARY], {CANARY: CANARY}, {"": None}, [None] * 100, [{"role": CANARY, "text": CANARY}]),
    *TIMES,
)
_RAW: Final = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "01", "1.", "+1", "0x10", "nul", "'a'", "{,}", "[1,]"),
    *('"\\ud800"', '"\\udc00\\ud800"', '"\\u00"', f'"{CANARY}', "9" * 5000, "1" + "0" * 400 + ".5"),
)
"""Of JSON, in place of a value; most are none."""
_BAD_BYTES: Final = (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\x00", b"\xe2\x82")
"""Overlong, a surrogate, beyond Unicode, a byte order mark, cut short."""


@st.composite
def damaged(draw: st.DrawFn, valid: bytes) -> bytes:
    """A valid record with bits flipped, parts cut out, doubled or cut off, bytes that are no text put in; or no record
    at all."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(("random", "cut", "flip", "insert", "remove", "double")))
    if kind == "random":
        return draw(st.binary(max_size=200))
    at = chance.randrange(len(valid) + 1)
    if kind == "cut":
        return valid[:at]
    if kind == "insert":
        return valid[:at] + chance.choice(_BAD_BYTES) + valid[at:]
    if kind == "remove":
        return valid[:at] + valid[at + chance.randrange(1, 9) :]
    if kind == "double":
        return valid[:at] + valid[max(0, at - chance.randrange(1, 30)) :]
    spoilt = bytearray(valid)
    for _ in range(chance.randrange(1, 6)):
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


@st.composite
def spoilt_json(draw: st.DrawFn, template: Mapping[str, Any]) -> bytes:
    """An object of the template's form, with some values replaced, left out, or there twice."""
    pairs = [(name, json.dumps(value)) for name, value in template.items()]
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(pairs) - 1))
        name = pairs[place][0]
        change = draw(st.sampled_from(("replace", "raw", "drop", "twice", "within", "unknown")))
        if change == "replace":
            pairs[place] = (name, _dumped(draw(st.sampled_from(_EXTREMES))))
        elif change == "raw":
            pairs[place] = (name, draw(st.sampled_from(_RAW)))
        elif change == "drop" and len(pairs) > 1:
            del pairs[place]
        elif change == "twice":
            pairs.append((name, _dumped(draw(st.sampled_from(_EXTREMES)))))
        elif change == "within":
            pairs[place] = (name, _dumped(_within(draw, template.get(name))))
        else:
            pairs.append((f"{CANARY}{place}", _dumped(draw(st.sampled_from(_EXTREMES)))))
    return ("{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs) + "}").encode()


@st.composite
def spoilt_msgpack(draw: st.DrawFn, template: Sequence[Any]) -> bytes:
    """An array of the template's form, with some values replaced, and perhaps cut short or longer."""
    values = list(template)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(values) - 1))
        change = draw(st.booleans())
        values[place] = _packable(draw(st.sampled_from(_EXTREMES)) if change else _within(draw, values[place]))
    length = draw(st.integers(0, len(values) + 2))
    if draw(st.booleans()):
        values = ([*values, CANARY, 1])[:length]
    return msgspec.msgpack.encode(values)


def one_line(error: Exception, *holding: str) -> None:
    """What a refusal says is one line, holds this, and quotes nothing of the input."""
    said = str(error)
    assert said.isprintable()
    assert CANARY not in said
    assert all(part in said for part in holding)


def nested(opening: bytes, closing: bytes = b"") -> bytes:
    """Without end, as a decoder sees it."""
    return opening * DEEP + closing * DEEP


def _within(draw: st.DrawFn, value: Any) -> Any:
    """The value with one of its own parts replaced, if it has any."""
    other = draw(st.sampled_from(_EXTREMES))
    if isinstance(value, dict) and value:
        return {**value, draw(st.sampled_from(sorted(value))): other}
    if isinstance(value, list | tuple) and value:
        parts = list(value)
        parts[draw(st.integers(0, len(parts) - 1))] = _within(draw, parts[0])
        return parts
    if isinstance(value, bytes):
        return value[: draw(st.integers(0, len(value)))] + draw(st.binary(max_size=20))
    return other


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _packable(value: Any) -> Any:
    """msgpack has no integers beyond 64 bits."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(10**30)
    if isinstance(value, list | tuple):
        return [_packable(part) for part in value]
    return {name: _packable(part) for name, part in value.items()} if isinstance(value, dict) else value
