"""Tokens for OAUTHBEARER: from a file that somebody else renews, or from a token URL with the client's id and secret.

What is raised is an OSError, as for any connection that cannot be made: aiokafka tries again. It says what to do, and
quotes neither a token nor a secret nor what the other side answered."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from pathlib import Path
from ssl import SSLContext
from urllib.parse import quote_plus

import aiohttp
import msgspec
from aiokafka.abc import AbstractTokenProvider

MAX_SECRET_BYTES = 65_536
"""Of a file with a password or a token: one with many claims takes 4 KB, and no device or log is read to its end."""
TOKEN_SECONDS = 10.0
"""For the token URL to answer: a connection waits for it, and the broker for the connection."""
KEPT_SHARE = 0.8
"""Of its life, for which a token is used: a broker whose clock is ahead must take it still."""
UNSAID_LIFE = 60.0
"""Seconds that a token is used whose life the token URL does not tell."""


class Granted(msgspec.Struct):
    """What a token URL answers (RFC 6749, 5.1)."""

    access_token: str
    expires_in: float | None = None


def read_secret(path: Path, setting: str) -> str:
    """What a file holds, without the line end. Raises OSError, one line that names the setting."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise OSError(f"{setting}: {path} cannot be read ({error.strerror}): mend it, or name another") from error
    if len(raw) > MAX_SECRET_BYTES:
        raise OSError(f"{setting}: {path} is over {MAX_SECRET_BYTES} bytes, which no secret is: name another")
    try:
        secret = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise OSError(f"{setting}: {path} is not UTF-8: write it anew") from None  # its error would hold the bytes
    if not secret:
        raise OSError(f"{setting}: {path} is empty: write it, or name another")
    return secret


class FileToken(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
    """The token that is in the file at that moment: whoever projects it renews it."""

    def __init__(self, path: Path, setting: str) -> None:
        self._path = path
        self._setting = setting

    async def token(self) -> str:
        """Read on a thread: a projected volume may be slow."""
        return (await asyncio.to_thread(read_secret, self._path, self._setting)).strip()


class GrantedToken(AbstractTokenProvider):  # type: ignore[misc]  # as above
    """A token that is asked for at a URL, and anew before it expires. One for each client, so each has its loop."""

    def __init__(
        self,
        url: str,
        client_id: str,
        secret: Callable[[], str],
        scope: str | None,
        tls: SSLContext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._client = client_id
        self._secret = secret
        self._form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        self._tls = tls
        self._clock = clock
        self._token, self._until = "", 0.0

    async def token(self) -> str:
        """That of the last answer while it is good for a while."""
        now = self._clock()
        if now >= self._until:
            granted = await self._ask(await asyncio.to_thread(self._secret))
            life = UNSAID_LIFE if granted.expires_in is None else granted.expires_in
            self._token, self._until = granted.access_token, now + KEPT_SHARE * life
        return self._token

    async def _ask(self, secret: str) -> Granted:
        login = base64.b64encode(f"{quote_plus(self._client)}:{quote_plus(secret)}".encode()).decode()
        limit = aiohttp.ClientTimeout(total=TOKEN_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Basic {login}"}, timeout=limit) as session,
                session.post(self._url, data=self._form, ssl=self._tls, allow_redirects=False) as answer,
            ):
                status, body = answer.status, await answer.content.read(MAX_SECRET_BYTES)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OSError(
                f"AEGIS_SASL_TOKEN_URL does not answer ({type(error).__name__}): see that it is reached from here, and"
                " that its certificate is signed by one that the system or AEGIS_SSL_CA_FILE names"
            ) from None
        if status != 200:
            raise OSError(
                f"AEGIS_SASL_TOKEN_URL gave no token (status {status}): mend AEGIS_SASL_USERNAME,"
                " AEGIS_SASL_PASSWORD or AEGIS_SASL_SCOPE"
            )
        try:
            return msgspec.json.decode(body, type=Granted)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise OSError("AEGIS_SASL_TOKEN_URL answered with no `access_token`: name OAuth's token endpoint") from None
