"""Who signed a webhook, by Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over id, time and body.

A delivery that is sent again while its time is near is taken again, and needs no list of ids: a label that comes twice
counts once."""

from __future__ import annotations

import base64
import binascii
import hmac
import math
from collections.abc import Iterable, Mapping

from stream.web.answers import Refusal
from stream.web.callers import Caller, Entry

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE = 300.0
"""Seconds that a delivery's time may be off, either way: five minutes, as the standard's own libraries have it."""
MOST_SIGNATURES = 8
"""Of one delivery: a sender has two while it changes its secret."""


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether a request is a webhook's delivery."""
    return SIGNATURE in headers


def signer(headers: Mapping[str, str], body: bytes, entries: Iterable[Entry], now: float) -> Caller:
    """Who signed this body; `now` in seconds since 1970. Raises Refusal (401), one line."""
    identity, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    try:
        sent = float(int(timestamp))
    except (ValueError, OverflowError):
        sent = math.nan
    if not identity or not abs(now - sent) <= TOLERANCE:
        raise _refused(f"{ID} is missing, or {TIMESTAMP} is not within {TOLERANCE:g} s of now: see both clocks")
    signed = b".".join((identity.encode("utf-8", "surrogateescape"), timestamp.encode(), body))
    given = list(_signatures(headers[SIGNATURE]))
    found = None
    for entry in entries:
        if entry.key is not None:
            right = hmac.digest(entry.key, signed, "sha256")
            for one in given:  # all of them, always: how long it takes tells nothing
                if hmac.compare_digest(right, one):
                    found = entry.caller
    if found is None:
        raise _refused(f"no {SIGNATURE} of these was made with a secret known here: see the line whsec_ of the tokens")
    return found


def sign(key: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`, as a sender makes it."""
    signed = f"{identity}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"


def _signatures(header: str) -> Iterable[bytes]:
    for one in header.split()[:MOST_SIGNATURES]:
        version, _, encoded = one.partition(",")
        if version == "v1":
            try:
                yield base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                continue


def _refused(message: str) -> Refusal:
    return Refusal(401, message, "invalid_signature")
