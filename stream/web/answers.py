"""What a service answers when it refuses: JSON in the shape that clients of OpenAI's API read."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import extract_tb

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

log = structlog.get_logger()

BEGUN = web.RequestKey("begun", bool)
"""Set when the first byte of an answer goes out: it is too late for another answer then."""

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
"""OpenAI's names of what is wrong, by status; any other is the request's fault below 500, ours from there on."""


class Refusal(Exception):
    """A request that is not carried out: `message` is one line that says what to do, and quotes nothing of the request.

    `code` is one word for programs, `param` the field at fault, as OpenAI's errors have them."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}

    def body(self) -> dict[str, object]:
        """`{"error": {"message", "type", "param", "code"}}`."""
        kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def answer(self) -> web.Response:
        """Its body as JSON."""
        return web.json_response(self.body(), status=self.status, headers=self.headers)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware: whatever is raised inside becomes an answer that a program can read."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.answer()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _of_aiohttp(error).answer()
    except ConnectionError:  # the caller has gone: there is nobody to answer
        raise
    except Exception as error:
        if BEGUN in request:
            raise
        frame = extract_tb(error.__traceback__)[-1]
        # Not its text, which may quote the request.
        log.error("request_failed", path=request.path, error=type(error).__name__, at=f"{frame.name}:{frame.lineno}")
        return Refusal(500, "the service failed on this request, and its log says where", "internal_error").answer()


def _of_aiohttp(error: web.HTTPException) -> Refusal:
    if isinstance(error, web.HTTPNotFound):
        return Refusal(404, "nothing is served at this address", "not_found")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Refusal(405, f"this address takes {allowed}", "method_not_allowed", headers={"Allow": allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return Refusal(413, "the body is too large: send less at once", "request_too_large")
    return Refusal(error.status, error.reason.lower())
