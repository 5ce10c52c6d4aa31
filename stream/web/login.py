"""`/login`: a token is posted once and becomes a cookie that scripts cannot read; `/logout` takes the cookie away."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from urllib.parse import quote

from aiohttp import web

from stream.web import sessions
from stream.web.answers import Refusal
from stream.web.callers import Tokens
from stream.web.origins import is_forged

PATH, LEAVE = "/login", "/logout"
Hosts = Callable[[web.Request], tuple[str, ...]]
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Aegis: sign in</title>{style}</head>
<body><main><h1>Sign in</h1>{problem}
<form method="post" action="{action}"><p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus></p>
<p><button>Sign in</button></p></form></main></body>
</html>
"""


def is_a_person(request: web.Request) -> bool:
    """Whether a page is wanted, which a person reads, and not data."""
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "")


def address(path: str) -> str:
    """Where one signs in to go on to a path."""
    return f"{PATH}?next={quote(path, safe='/')}"


def attach(app: web.Application, tokens: Tokens | None, hosts: Hosts, stylesheet: str | None) -> None:
    """Adds both paths; where there are no tokens, signing in leads to the start."""
    style = "" if stylesheet is None else f'<link rel="stylesheet" href="{escape(stylesheet)}">'

    async def show(request: web.Request) -> web.Response:
        if tokens is None:
            raise web.HTTPSeeOther("/")
        return _page(request, style)

    async def enter(request: web.Request) -> web.Response:
        _refuse_forged(request, hosts)
        token = (await request.post()).get("token")
        entry = tokens.find(token.strip()) if tokens is not None and isinstance(token, str) else None
        if entry is None:
            return _page(request, style, "This token is not known.")
        answer = web.HTTPSeeOther(_inside(request.query.get("next", "/")))
        answer.set_cookie(
            sessions.COOKIE,
            sessions.issue(entry, time.time()),
            max_age=sessions.SECONDS,
            secure=_is_encrypted(request),
            httponly=True,
            samesite="Strict",
        )
        raise answer

    async def leave(request: web.Request) -> web.Response:
        _refuse_forged(request, hosts)
        answer = web.HTTPSeeOther(PATH)
        answer.del_cookie(sessions.COOKIE)
        raise answer

    app.add_routes([web.get(PATH, show), web.post(PATH, enter), web.post(LEAVE, leave)])


def _page(request: web.Request, style: str, problem: str | None = None) -> web.Response:
    said = "" if problem is None else f'<p role="alert">{problem}</p>'
    text = PAGE.format(style=style, problem=said, action=escape(address(_inside(request.query.get("next", "/")))))
    return web.Response(text=text, status=401 if problem else 200, content_type="text/html")


def _inside(path: str) -> str:
    r"""The path if it is one of ours: `//host` and `/\host` lead elsewhere."""
    return path if path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable() else "/"


def _refuse_forged(request: web.Request, hosts: Hosts) -> None:
    if is_forged(request.method, request.headers, hosts(request), unsaid=True):
        raise Refusal(403, "sign in and out from the page itself", "forged")


def _is_encrypted(request: web.Request) -> bool:
    """Whether the browser speaks TLS, as the last proxy says: a lie would only keep the liar's own cookie."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
