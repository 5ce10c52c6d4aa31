"""The gateway's description, OpenAPI 3.1, generated from the structs.

`python -m stream.gateway.openapi` writes it to `stream/contracts/`; a test fails when what stands there is not what the
structs say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from stream import records
from stream.gateway import asking, shapes, signatures

FILE = Path(__file__).parents[1] / "contracts" / "openapi.json"
VERSION = "1.0.0"
"""Of the interface: the second number rises with each field that is added."""

STRUCTS = (
    *(shapes.ModerationRequest, shapes.ModerationResponse, records.Label, shapes.LabelsResponse),
    shapes.ErrorResponse,
)
REFUSALS = {
    400: "What the contract does not allow: `message` says what and where.",
    401: "No token, one that is not known, or a signature that is not right.",
    403: "Not this caller's: another tenant, another site's page.",
    413: "The body, or a text with its history, is too large.",
    429: "More than one caller may ask: ask again after `Retry-After` seconds.",
    503: "Not now: the broker does not answer, or too many texts are on their way.",
}
LATE = "No verdict in time. The turn is recorded still, and its verdict comes on the topic."


def document() -> dict[str, Any]:
    """The whole description."""
    _, schemas = msgspec.json.schema_components(STRUCTS, ref_template="#/components/schemas/{name}")
    schemas["GivenLabel"] = _given(schemas.pop("Label"))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Aegis Stream gateway",
            "version": VERSION,
            "description": "Moderation in the shape of OpenAI's API, and labels. JSON in UTF-8; unknown fields are"
            " ignored.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": {
            "/v1/moderations": {"post": _moderations()},
            "/v1/labels": {"post": _labels()},
            **{path: {"get": _plain(path, what)} for path, what in _PLAIN.items()},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_PLAIN = {
    "/healthz": "Answers while the process does.",
    "/readyz": "200 when verdicts can be had, else 503 and why.",
    "/metrics": "Prometheus.",
    "/openapi.json": "This description.",
}


def _moderations() -> dict[str, Any]:
    said = (("Aegis-Conversation-Id", records.Id), ("Aegis-Role", records.Role), ("Aegis-Tenant", records.Id))
    headers = [
        *(_header(name, kind, "As in the body, which counts where both say it.") for name, kind in said),
        _header("Aegis-Mode", shapes.Way, "By way of the topics or at once, if the gateway serves it."),
        _header(asking.KEY, str, "The same request under the same key is the same turn, with the same verdict."),
        _header("traceparent", str, "W3C trace context, carried on by the turn's record."),
    ]
    return {
        "operationId": "createModeration",
        "summary": "The verdict on each text.",
        "parameters": headers,
        "requestBody": _body(_ref("ModerationRequest")),
        "responses": {
            "200": _answer("A result for each input, in their order.", _ref("ModerationResponse")),
            **_refusals(_ref("ErrorResponse")),
            "504": _answer(LATE, _ref("ErrorResponse")),
        },
    }


def _labels() -> dict[str, Any]:
    one = _ref("GivenLabel")
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": shapes.MOST_LABELS}
    signed = (signatures.ID, signatures.TIMESTAMP, signatures.SIGNATURE)
    return {
        "operationId": "createLabels",
        "summary": "Labels for turns: all are published, or none is.",
        "description": "With a token, or signed by Standard Webhooks in place of one.",
        "security": [{"token": []}, {}],
        "parameters": [_header(name, str, "Of a signed delivery.") for name in signed],
        "requestBody": _body({"anyOf": [one, many]}),
        "responses": {
            "202": _answer("All replicas have every label.", _ref("LabelsResponse")),
            **_refusals({"allOf": [_ref("ErrorResponse")], "properties": {"results": {"type": "array"}}}),
        },
    }


def _given(label: dict[str, Any]) -> dict[str, Any]:
    """The schema of a label as it is sent here."""
    required = [field for field in label["required"] if field != "annotator"]
    what = "A label; its annotator is the caller, unless it says otherwise and may, and its tenant the caller's own."
    return {**label, "title": "GivenLabel", "description": what, "required": required}


def _plain(path: str, what: str) -> dict[str, Any]:
    statuses = ("200", "503") if path == "/readyz" else ("200",)
    responses = {status: {"description": what} for status in statuses}
    name = path.strip("/").partition(".")[0]
    return {"operationId": name, "summary": what, "security": [], "responses": responses}


def _header(name: str, kind: Any, what: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": what, "schema": msgspec.json.schema(kind)}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _answer(what: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": schema}}}


def _refusals(schema: dict[str, Any]) -> dict[str, Any]:
    answers = {str(status): _answer(what, schema) for status, what in REFUSALS.items()}
    wait = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    for status in ("429", "503"):
        answers[status]["headers"] = wait
    return answers


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def text() -> str:
    """What the file must hold."""
    return json.dumps(document(), indent=2) + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
