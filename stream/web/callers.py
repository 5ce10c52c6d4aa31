"""Who may call, by a file of tokens that is read anew when it changes.

A line is `name:token`, and after a blank what the caller may do: `tenant=NAME` binds it to one tenant, `annotators=any`
lets it send labels in the names of others. A token that begins with `whsec_` is never sent: it signs webhooks (Standard
Webhooks), and its rest is the key in base64. Blank lines and those that begin with `#` are passed over. A name may have
several tokens, so that one can be replaced without an outage."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import structlog

from stream.errors import SettingsError
from stream.tokens import read_secret

log = structlog.get_logger()

SETTING = "AEGIS_TOKENS_FILE"
SHORTEST = 16
"""Characters of a token: fewer could be guessed. `openssl rand -hex 32` makes 64."""
SIGNING = "whsec_"
SHORTEST_KEY = 24
"""Bytes of a key that signs, as Standard Webhooks asks."""
NAME = re.compile(r"[^\s:,]{1,128}")
"""Of a caller: it becomes an annotator's name, which the contract allows 128 characters."""
TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `tenant`: the only one whose turns and labels it may send, None for any; `names_annotators`: it may
    send labels of other people."""

    name: str
    tenant: str | None = None
    names_annotators: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A caller and the sha256 of one of its tokens: the token itself is kept nowhere, and no `repr` shows either."""

    caller: Caller
    digest: bytes = field(repr=False)
    key: bytes | None = field(default=None, repr=False)
    """What signs, of a secret of webhooks; such an entry lets nobody in by itself."""


def parse(text: str) -> list[Entry]:
    """Every line of a file of tokens. Raises ValueError, one line that quotes no token."""
    entries: list[Entry] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            entries.append(_entry(number, line.strip()))
    if not entries:
        raise ValueError("it names nobody: write lines of `name:token`")
    named: dict[bytes, str] = {}
    for entry in entries:
        if named.setdefault(entry.digest, entry.caller.name) != entry.caller.name:
            raise ValueError(f"{named[entry.digest]} and {entry.caller.name} have one token: give each its own")
    return entries


def _entry(number: int, line: str) -> Entry:
    name, _, rest = line.partition(":")
    token, *options = rest.split() or [""]
    if not NAME.fullmatch(name) or not TOKEN.fullmatch(token):
        raise ValueError(f"line {number} is no `name:token`: write both, without blanks")
    if len(token) < SHORTEST:
        raise ValueError(f"line {number}: its token is under {SHORTEST} characters: make one by `openssl rand -hex 32`")
    tenant, names_annotators = None, False
    for option in options:
        key, _, value = option.partition("=")
        if key == "tenant" and 1 <= len(value) <= 128:
            tenant = value
        elif option == "annotators=any":
            names_annotators = True
        else:
            raise ValueError(
                f"line {number}: after the token may stand `tenant=NAME` and `annotators=any`, no other word"
            )
    return Entry(Caller(name, tenant, names_annotators), digest_of(token), _key(number, token))


def _key(number: int, token: str) -> bytes | None:
    if not token.startswith(SIGNING):
        return None
    try:
        key = base64.b64decode(token.removeprefix(SIGNING), validate=True)
    except binascii.Error:
        key = b""
    if len(key) < SHORTEST_KEY:
        remedy = f'echo "{SIGNING}$(openssl rand -base64 32)"'
        raise ValueError(f"line {number}: after {SIGNING} stand {SHORTEST_KEY} bytes or more in base64: {remedy}")
    return key


def digest_of(token: str) -> bytes:
    """What is kept of a token. No slow hash is needed: tokens are long and random, not chosen by people."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


class Tokens:
    """The tokens of a file, as it is now. A change that cannot be read leaves those that were, and is logged once."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsError, one line, when the file cannot be used."""
        self._path = path
        self._stamp: object = None
        self._entries: Sequence[Entry] = ()
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise SettingsError(_line(path, error)) from None  # a cause would hold the file's lines

    def find(self, token: str) -> Entry | None:
        """Whose token it is. Takes as long whether it is one or not, and whichever it is."""
        digest, found = digest_of(token), None
        for entry in self.entries():
            if hmac.compare_digest(entry.digest, digest) and entry.key is None:
                found = entry
        return found

    def entries(self) -> Sequence[Entry]:
        """All of them, read again if the file has changed."""
        try:
            self._read()
        except (OSError, ValueError) as error:
            log.error("tokens_not_read", why=_line(self._path, error), remedy="those read before still hold")
        return self._entries

    def _read(self) -> None:
        found = self._path.stat()
        stamp = found.st_ino, found.st_mtime_ns, found.st_size
        if stamp != self._stamp:
            self._stamp = stamp  # first: a file that cannot be used is told once, not for every request
            self._entries = parse(read_secret(self._path, SETTING))


def _line(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        unread = f"{SETTING}: {path} cannot be read ({error.strerror}): mend it, or name another"
        return unread if error.strerror else str(error)
    return f"{SETTING}: {path}: {error}"
