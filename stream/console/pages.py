"""Pages: the shell that all share, around the `<main>` of each. Static files come from this package alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from aiohttp import web

from stream.web.access import CALLER

STATIC: Final = Path(__file__).with_name("static")
NAVIGATION: Final = (("Live", "/"), ("Review", "/review"))


def page(
    request: web.Request,
    title: str,
    main: str,
    *,
    current: str,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> web.Response:
    """A whole page. `main` is HTML of ours, `current` the address in NAVIGATION that this page belongs to; `scripts`
    (ES modules) and `styles` are addresses. Whoever calls is named in the head, if `request` says who it is."""
    links = "".join(
        f'<li><a href="{address}"{_current(address == current)}>{name}</a></li>' for name, address in NAVIGATION
    )
    text = _shell().substitute(
        title=escape(title),
        nav=links,
        main=main,
        caller=escape(_caller(request)),
        styles="\n".join(f'<link rel="stylesheet" href="{escape(address)}">' for address in styles),
        scripts="\n".join(f'<script type="module" src="{escape(address)}"></script>' for address in scripts),
    )
    return web.Response(text=text, content_type="text/html")


def _caller(request: web.Request) -> str:
    caller = request.get(CALLER)
    return "" if caller is None else caller.name


def _current(is_current: bool) -> str:
    return ' aria-current="page"' if is_current else ""


def _shell() -> Template:
    """Read each time: a page is asked for now and then, and who works on it sees each change."""
    return Template((STATIC / "shell.html").read_text(encoding="utf-8"))


def add_static(app: web.Application, prefix: str = "/static", folder: Path = STATIC) -> None:
    """Serve a folder. A browser asks each time whether a file has changed, so that an upgrade is seen at once."""

    async def revalidated(request: web.Request, response: web.StreamResponse) -> None:
        if request.path.startswith(prefix):
            response.headers["Cache-Control"] = "no-cache"

    app.router.add_static(prefix, folder, append_version=False)
    app.on_response_prepare.append(revalidated)
