"""The cookie that stands for a token in a browser: the name, until when, and a signature made with the token's digest.

Nothing is kept on this side: a restart signs nobody out, and other processes with the same file of tokens take the
cookie, too. A token that is taken out of the file ends its cookies with it."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable

from stream.web.callers import Entry

COOKIE = "aegis_session"
SECONDS = 12 * 3600
"""That one lasts: a working day, so that an annotator signs in once."""


def issue(entry: Entry, now: float) -> str:
    """The value of the cookie; `now` in seconds since 1970."""
    said = f"{base64.urlsafe_b64encode(entry.caller.name.encode()).decode()}.{int(now) + SECONDS}"
    return f"{said}.{_signature(entry, said)}"


def holder(cookie: str, entries: Iterable[Entry], now: float) -> Entry | None:
    """Whose cookie it is; None if it is nobody's, or is over."""
    said, _, signature = cookie.rpartition(".")
    encoded, _, until = said.partition(".")
    try:
        name = base64.b64decode(encoded, altchars=b"-_", validate=True).decode()
        over = int(until) <= now
    except (binascii.Error, ValueError):
        return None
    if over or not signature.isascii():
        return None
    found = None
    for entry in entries:
        if entry.caller.name == name and hmac.compare_digest(_signature(entry, said), signature):
            found = entry
    return found


def _signature(entry: Entry, said: str) -> str:
    return hmac.new(entry.digest, f"{COOKIE}:{said}".encode(), "sha256").hexdigest()
