"""Bytes to wire records and back. What cannot be decoded becomes a `Rejected` with its reason, never an exception that
leaves this file."""

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from stream.records import ExpertMode, Label, Request, Turn, Verdict, Weights

_turns = msgspec.json.Decoder(Turn)
_labels = msgspec.json.Decoder(Label)
_encoder = msgspec.json.Encoder()
_Record = TypeVar("_Record", bound=msgspec.Struct)
SCHEMA_REASONS = (
    ("Object missing required field", "missing_field"),
    ("Expected `str` of length", "out_of_range"),
    ("Expected `array` of length", "out_of_range"),
    ("Expected `float` <", "out_of_range"),
    ("Expected `int` >", "out_of_range"),
)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of bytes that are no record: the last of those that nest without end."""

MAX_METADATA_BYTES = 16_384
"""Of a turn's metadata, which its verdict repeats: six times as long when escaped, it must still fit into a message."""
MAX_LABEL_BYTES = 65_536
"""Of a label and its key, which are kept and forwarded as they came: they must fit into a message with our headers."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that cannot be used. `reason` is one of a closed set (it is a metric label); `detail` is one line and
    quotes no text of the message."""

    reason: str
    detail: str


def decode_turn(value: bytes | None, max_text_bytes: int) -> Turn | Rejected:
    """Decode a record of `turns.v1`; `max_text_bytes` bounds the text together with its history, in UTF-8 bytes."""
    turn = decoded(_turns, value)
    if isinstance(turn, Turn) and value is not None and len(value) > min(max_text_bytes, MAX_METADATA_BYTES):
        size = len(turn.text.encode()) + sum(len(u.text.encode()) for u in turn.history)
        if size > max_text_bytes:
            remedy = "raise AEGIS_MAX_TEXT_BYTES or send less"
            return Rejected("text_too_large", f"text and history are {size} bytes, over {max_text_bytes}: {remedy}")
        carried = sum(len(k.encode()) + len(v.encode()) for k, v in turn.metadata.items())
        if carried > MAX_METADATA_BYTES:
            return Rejected("metadata_too_large", f"metadata is {carried} bytes, over {MAX_METADATA_BYTES}: send less")
    return turn


def decode_label(value: bytes | None, key: bytes | None = None) -> Label | Rejected:
    """Decode a record of `labels.v1`."""
    size = len(value or b"") + len(key or b"")
    if size > MAX_LABEL_BYTES:
        return Rejected("label_too_large", f"label and key are {size} bytes, over {MAX_LABEL_BYTES}: send less")
    return decoded(_labels, value)


def encode(record: Turn | Label | Verdict | Weights | ExpertMode | Request) -> bytes:
    """Encode a wire record as JSON; equal records give equal bytes."""
    return _encoder.encode(record)


def decoded(decoder: "msgspec.json.Decoder[_Record]", value: bytes | None) -> _Record | Rejected:
    """Decode a JSON record of any kind."""
    if not value:
        return Rejected("empty", "the message has no value")
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        return _explain(str(error))
    except msgspec.DecodeError as error:
        return Rejected("not_json", str(error)) if _is_utf8(value) else Rejected("not_utf8", "not UTF-8")
    except UnicodeDecodeError:
        return Rejected("not_utf8", "not UTF-8")
    except RecursionError:
        return Rejected("not_json", "nested too deep")


def _explain(message: str) -> Rejected:
    """Classify a validation message of msgspec. An enum message quotes the value it met, which may be anything, so only
    its path is kept."""
    if message.startswith("Invalid enum value"):
        message = (
            "not one of the allowed values" + message[message.rfind(" - at ") :]
            if " - at " in message
            else "not one of the allowed values"
        )
        return Rejected("wrong_type", message)
    reason = next((reason for start, reason in SCHEMA_REASONS if message.startswith(start)), "wrong_type")
    return Rejected(reason, message[:300])


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
