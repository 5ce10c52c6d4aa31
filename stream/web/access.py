"""Who calls: by a bearer token, a browser's cookie, a reverse proxy's header, or, with none of them set, this machine
alone.

A request is let in when one of these is true, looked at in this order:
1. it has `Authorization: Bearer` with a token of AEGIS_TOKENS_FILE;
2. it has the cookie that `/login` gave for such a token;
3. it comes from one of AEGIS_TRUSTED_PROXIES with one header AEGIS_USER_HEADER;
4. neither setting is given: the service listens on this machine only, and checks that it was called by that name.

What a browser sends (2 to 4) must come from our own pages when it changes something."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stream.errors import SettingsError
from stream.settings import Settings
from stream.web import login, sessions
from stream.web.answers import Refusal
from stream.web.callers import Caller, Tokens
from stream.web.origins import is_forged, is_own_address, names_this_machine

CALLER = web.RequestKey("caller", Caller)
"""`request[CALLER].name`: who calls, in every handler behind the middleware but those of open paths."""
LOCAL = "local"
"""Who calls where nobody is asked for a name."""
OPEN = frozenset({"/healthz", "/readyz", login.PATH, login.LEAVE})
"""Paths that everybody may call: probes, and where one signs in."""

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Access:
    """The rules of one service. `open_paths` are let through without a caller."""

    tokens: Tokens | None
    header: str | None
    proxies: tuple[Network, ...]
    local: Caller | None
    open_paths: frozenset[str]

    @classmethod
    def of(cls, settings: Settings, host: str, name: str = LOCAL, open_paths: Iterable[str] = ()) -> Access:
        """The rules that the settings ask for, of a service that listens on `host`; `name` is the caller's where nobody
        is asked for one.

        Raises SettingsError, one line: others could reach the service and nothing would tell who they are, a header
        without proxies, a file or network that cannot be used."""
        if settings.user_header is not None and not settings.trusted_proxies:
            raise SettingsError(
                "AEGIS_USER_HEADER needs AEGIS_TRUSTED_PROXIES: anybody could send it; name your proxy's address"
            )
        if settings.trusted_proxies and settings.user_header is None:
            raise SettingsError("AEGIS_TRUSTED_PROXIES needs AEGIS_USER_HEADER: set the header in which it names users")
        asked = settings.user_header is not None or settings.tokens_file is not None
        if not asked and not is_own_address(host):
            raise SettingsError(
                f"on {host} others could call, and nothing would tell who: set AEGIS_TOKENS_FILE, or"
                " AEGIS_USER_HEADER behind a proxy, or listen on 127.0.0.1"
            )
        if not _is_name(name):
            raise SettingsError("a caller's name has 1 to 128 characters that can be printed: choose another")
        return cls(
            None if settings.tokens_file is None else Tokens(settings.tokens_file),
            settings.user_header,
            tuple(map(_network, settings.trusted_proxies)),
            None if asked else Caller(name, names_annotators=True),
            OPEN | frozenset(open_paths),
        )

    def attach(self, app: web.Application, stylesheet: str | None = None) -> None:
        """Adds `/login` and `/logout`; `stylesheet` is the address of one for the page."""
        login.attach(app, self.tokens, self.hosts, stylesheet)

    def middleware(self) -> Middleware:
        """Lets a request in with its caller, and answers 401 or 403 else; a person at a browser is shown `/login`."""

        @web.middleware
        async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self.local is not None and not names_this_machine(request.host):
                raise Refusal(403, "call this service as localhost or 127.0.0.1: another name may lead here", "host")
            if request.path not in self.open_paths:
                try:
                    request[CALLER] = self.identify(request)
                except Refusal as refusal:
                    if refusal.status == 401 and self.tokens is not None and login.is_a_person(request):
                        raise web.HTTPSeeOther(login.address(request.path_qs)) from None
                    raise
            return await handler(request)

        return let_in

    def identify(self, request: web.Request) -> Caller:
        """Who sends a request. Raises Refusal (401, 403) when nobody may."""
        header = request.headers.get("Authorization", "")
        scheme, _, token = header.partition(" ")
        if self.local is not None:
            # A page of somebody else cannot set this header, so whoever did is a program on this machine.
            self._refuse_forged(request, unsaid=False, bearer=bool(token))
            return self.local
        if token and scheme.lower() == "bearer" and self.tokens is not None:
            if (entry := self.tokens.find(token.strip())) is None:
                raise _unknown("this token is not known")
            return entry.caller
        caller = self._by_cookie(request) or self._by_proxy(request)
        if caller is None:
            raise _unknown("nobody is signed in: send `Authorization: Bearer TOKEN`")
        self._refuse_forged(request, unsaid=True, bearer=False)
        return caller

    def hosts(self, request: web.Request) -> tuple[str, ...]:
        """The names that a browser may know this service by: that of the request, and that of a trusted proxy."""
        forwarded = request.headers.get("X-Forwarded-Host", "") if self._from_proxy(request) else ""
        return (request.host, forwarded.partition(",")[0].strip()) if forwarded else (request.host,)

    def _refuse_forged(self, request: web.Request, unsaid: bool, bearer: bool) -> None:
        if not bearer and is_forged(request.method, request.headers, self.hosts(request), unsaid):
            raise Refusal(403, "this was sent by a page of another site: send it from here, or with a token", "forged")

    def _by_cookie(self, request: web.Request) -> Caller | None:
        cookie = request.cookies.get(sessions.COOKIE)
        if cookie is None or self.tokens is None:
            return None
        entry = sessions.holder(cookie, self.tokens.entries(), time.time())
        return None if entry is None else entry.caller

    def _by_proxy(self, request: web.Request) -> Caller | None:
        if self.header is None or not self._from_proxy(request):
            return None
        names = request.headers.getall(self.header, [])
        # Twice: the caller has sent one of them.
        return Caller(names[0]) if len(names) == 1 and _is_name(names[0]) else None

    def _from_proxy(self, request: web.Request) -> bool:
        if not self.proxies or request.remote is None:
            return False
        try:
            address = ip_address(request.remote)
        except ValueError:  # no address: a socket in the file system
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.proxies)


def _is_name(text: str) -> bool:
    return 1 <= len(text) <= 128 and text.isprintable() and text == text.strip()


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise SettingsError(
            f"AEGIS_TRUSTED_PROXIES: {text!r} is no address or network: write 10.0.0.7 or 10.0.0.0/24"
        ) from None


def _unknown(message: str) -> Refusal:
    return Refusal(401, message, "invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
