"""POST `/v1/labels`: what people said of turns, from systems that speak HTTP."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from aiohttp import web

from stream.codecs import UNREADABLE, Rejected, decode_label
from stream.errors import WriteError
from stream.gateway import signatures
from stream.gateway.counts import Counts
from stream.gateway.shapes import MOST_LABELS, LabelResult, LabelsResponse
from stream.labelling import Labelling
from stream.records import Label
from stream.web.access import CALLER, Access
from stream.web.answers import Refusal
from stream.web.callers import Caller
from stream.web.limits import Limits, read_body

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raws = msgspec.json.Decoder(list[msgspec.Raw])
Checked = Label | Rejected


@dataclass(frozen=True)
class Labels:
    """The handler. Delivery guarantee: after 202 every label of the request is with all replicas. After another answer
    send all of it again: a label that comes twice counts once."""

    access: Access
    limits: Limits
    labelling: Labelling
    counts: Counts

    async def answer(self, request: web.Request) -> web.Response:
        """202 when all are published, 400 when one of them is not a good label, and then none is. Raises Refusal."""
        body = await read_body(request)
        caller = self._caller(request, body)
        request[CALLER] = caller
        raws = split(body)
        self.limits.count(request, len(raws) - 1)
        checked = [check(raw, caller) for raw in raws]
        labels = [label for label in checked if isinstance(label, Label)]
        if len(labels) < len(checked):
            self.counts.labels.labels("refused").inc(len(checked) - len(labels))
            return _answer(
                400, [_checked(one) for one in checked], "none is sent while one is no good: mend the refused"
            )
        try:
            refused = await self.labelling.publish(labels)
        except WriteError as error:
            self.counts.labels.labels("failed").inc(len(labels))
            raise Refusal(503, str(error), "unavailable", headers={"Retry-After": "1"}) from error
        results = [_published(label, refused.get(place)) for place, label in enumerate(labels)]
        self.counts.labels.labels("accepted").inc(len(labels) - len(refused))
        if refused:
            self.counts.labels.labels("failed").inc(len(refused))
            return _answer(503, results, "the broker did not take all of them: send all again")
        return _answer(202, results)

    def _caller(self, request: web.Request, body: bytes) -> Caller:
        """By its signature if it has one, else as for any request. Raises Refusal (401, 403)."""
        if not signatures.is_signed(request.headers):
            return self.access.identify(request)
        entries = self.access.tokens.entries() if self.access.tokens is not None else ()
        return signatures.signer(request.headers, body, entries, time.time())


def split(body: bytes) -> Sequence[bytes]:
    """The JSON of each label, of one or of a list. Raises Refusal (400)."""
    if not body.lstrip().startswith(b"["):
        return [body]
    try:
        raws = _raws.decode(body)
    except UNREADABLE:
        raise Refusal(400, "the body is no JSON: send a label, or a list of labels", "not_json") from None
    if not 1 <= len(raws) <= MOST_LABELS:
        raise Refusal(400, f"a request has 1 to {MOST_LABELS} labels, this one {len(raws)}", "out_of_range")
    return [bytes(raw) for raw in raws]


def check(raw: bytes, caller: Caller) -> Checked:
    """The label in the contract's shape, checked by the contract's own codec. What its caller must not say is refused:
    another annotator's name, another tenant; what it leaves out of these two is filled in."""
    try:
        fields = _fields.decode(raw)
    except UNREADABLE:
        return Rejected("not_json", "not a JSON object: send a label")
    fields.setdefault("annotator", _json(caller.name))
    if caller.tenant is not None:
        fields.setdefault("tenant", _json(caller.tenant))
    label = decode_label(msgspec.json.encode(fields))
    if isinstance(label, Rejected):
        return label
    if caller.tenant not in (None, label.tenant):
        return Rejected("tenant", f"your token is for the tenant {caller.tenant}: name that one, or none")
    if label.annotator != caller.name and not caller.names_annotators:
        remedy = "leave annotator out, or put `annotators=any` behind your token"
        return Rejected("annotator", f"you label in your own name, {caller.name}: {remedy}")
    return label


def _json(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))


def _checked(one: Checked) -> LabelResult:
    if isinstance(one, Rejected):
        return LabelResult("refused", reason=one.reason, detail=one.detail)
    return LabelResult("not_sent", one.turn_id)


def _published(label: Label, refused: str | None) -> LabelResult:
    if refused is None:
        return LabelResult("accepted", label.turn_id)
    return LabelResult("refused", label.turn_id, "refused_by_broker", refused)


def _answer(status: int, results: Sequence[LabelResult], problem: str | None = None) -> web.Response:
    body = msgspec.to_builtins(LabelsResponse(tuple(results)))
    if problem is not None:
        body = Refusal(status, problem, "labels").body() | body
    return web.json_response(body, status=status)
