"""Labelled turns as a file, for those who may have texts of people on their own machine."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from stream.console.review.room import REVIEW
from stream.errors import StreamError
from stream.labelled import labelled_turns
from stream.labelled_forms import FORMS
from stream.web.access import CALLER
from stream.web.answers import Refusal

TYPES: Final = {"jsonl": "application/x-ndjson", "csv": "text/csv"}


async def download(request: web.Request) -> web.StreamResponse:
    """All labelled turns whose text is still there, as a file."""
    review, caller = request.app[REVIEW], request[CALLER]
    if not review.may_export(caller):
        raise Refusal(403, "whoever runs the console names who may export: --may-export NAME", "may_not_export")
    form = request.query.get("form", "jsonl")
    if form not in TYPES:
        raise Refusal(400, "form is jsonl or csv", "form", "form")
    rows = labelled_turns(review.settings, None, caller.tenant)
    written, at = FORMS[form](), datetime.now(UTC).strftime("%Y-%m-%d")
    disposition = f'attachment; filename="labelled-{at}.{form}"'
    response = web.StreamResponse(headers={"Content-Disposition": disposition, "Content-Type": TYPES[form]})
    async with aclosing(rows) as found:
        try:
            first = await anext(found, None)
        except StreamError as error:
            raise Refusal(503, str(error), "broker") from error
        if first is None:
            raise Refusal(404, "there is no labelled turn yet", "nothing")
        await response.prepare(request)
        await response.write(written(first))
        async for row in found:
            await response.write(written(row))
    await response.write_eof()
    return response
