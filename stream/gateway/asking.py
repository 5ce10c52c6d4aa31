"""From a request to turns: whose they are, of which conversation, under which ids. Pure but for ids drawn at random."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import NoReturn

import msgspec

from stream.codecs import Rejected, decode_turn, decoded, encode
from stream.gateway.shapes import About, ImagePart, ModerationRequest, TextPart
from stream.records import Turn
from stream.web.answers import Refusal
from stream.web.callers import Caller

KEY = "Idempotency-Key"
LONGEST_KEY = 255
"""Characters of one."""
_requests = msgspec.json.Decoder(ModerationRequest)
_HEADERS = {
    "conversation_id": "Aegis-Conversation-Id",
    "role": "Aegis-Role",
    "tenant": "Aegis-Tenant",
    "mode": "Aegis-Mode",
}


def decode(body: bytes, headers: Mapping[str, str]) -> ModerationRequest:
    """The request, with what only its headers say of the turns taken into it. Raises Refusal (400), one line."""
    request = decoded(_requests, body)
    if isinstance(request, Rejected):
        _refuse(request)
    said = {field: headers[name] for field, name in _HEADERS.items() if name in headers}
    unsaid = {field: text for field, text in said.items() if getattr(request.aegis, field) is None}
    if not unsaid:
        return request
    try:
        # Converted, not replaced: a header is held to the same rules as the body.
        about = msgspec.convert({**msgspec.structs.asdict(request.aegis), **unsaid}, About)
    except msgspec.ValidationError:
        names = ", ".join(_HEADERS[field] for field in unsaid)
        raise Refusal(400, f"{names}: not what the contract allows, see /openapi.json", "wrong_type") from None
    return msgspec.structs.replace(request, aegis=about)


def texts(request: ModerationRequest) -> list[str]:
    """The text of each input. Raises Refusal (400) for an image, and for parts beside plain texts."""
    given = request.input
    if isinstance(given, str):
        return [given]
    if any(isinstance(part, ImagePart) for part in given):
        raise Refusal(400, "images are not moderated here: send their texts only", "image_not_supported", "input")
    parts = [part.text for part in given if isinstance(part, TextPart)]
    plain = [part for part in given if isinstance(part, str)]
    if parts and plain:
        raise Refusal(400, "input has both texts and parts: send a list of one kind", "wrong_type", "input")
    return ["\n".join(parts)] if parts else plain


def turns(request: ModerationRequest, caller: Caller, key: str | None, now: datetime, most_bytes: int) -> list[Turn]:
    """A turn for each input. `key`: the Idempotency-Key, by which the same request has the same ids; `most_bytes`: of a
    text with its history.

    Raises Refusal: 400 what the contract does not allow, 403 a tenant that is not the caller's, 413 a text too large.
    """
    about = request.aegis
    tenant = tenant_of(about.tenant, caller)
    made: list[Turn] = []
    for place, text in enumerate(texts(request)):
        turn_id = _turn_id(request, caller, tenant, key, place, text)
        conversation = about.conversation_id or turn_id
        turn = Turn(turn_id, conversation, about.role or "user", text, now, tenant, about.history, about.metadata)
        checked = decode_turn(encode(turn), most_bytes)  # by the contract's own codec: no turn of ours is a dead letter
        if isinstance(checked, Rejected):
            _refuse(checked)
        made.append(checked)
    return made


def tenant_of(named: str | None, caller: Caller) -> str:
    """Whose a turn or label is. Raises Refusal (403) when the caller is bound to another tenant."""
    if caller.tenant is not None and named not in (None, caller.tenant):
        raise Refusal(403, f"your token is for the tenant {caller.tenant}: name that one, or none", "tenant", "tenant")
    return named or caller.tenant or "default"


def checked_key(headers: Mapping[str, str]) -> str | None:
    """The Idempotency-Key. Raises Refusal (400) for one that is too long."""
    key = headers.get(KEY)
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise Refusal(400, f"{KEY} has 1 to {LONGEST_KEY} characters", "out_of_range", KEY)
    return key


def _turn_id(request: ModerationRequest, caller: Caller, tenant: str, key: str | None, place: int, text: str) -> str:
    """With a key, all that makes a turn another turn goes into its id: a key that is used again for another text must
    not get the verdict of the first."""
    if key is None:
        return f"gw-{uuid.uuid4().hex}"
    about = request.aegis
    parts = (caller.name, tenant, key, place, about.conversation_id, about.role, text)
    return f"gw-{blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()}"


def _refuse(why: Rejected) -> NoReturn:
    too_large = why.reason.endswith("_too_large")
    raise Refusal(413 if too_large else 400, why.detail, why.reason, "input" if too_large else None)
