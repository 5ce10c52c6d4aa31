"""The gateway's published description is what its structs say, and is OpenAPI."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import openai
import pytest
from openapi_spec_validator import validate

from stream.gateway import openapi
from stream.gateway.app import DESCRIPTION, LABELS, MODERATIONS

COMPONENTS = {"components": openapi.document()["components"]}


def check(schema: str, value: Any) -> None:
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{schema}", **COMPONENTS})


def test_the_published_file_is_what_the_structs_say() -> None:
    assert openapi.FILE.read_text("utf-8") == openapi.text(), "run `make contracts`, and note the change"


def test_it_is_openapi_3_1_and_names_every_address() -> None:
    document = json.loads(openapi.text())
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert {MODERATIONS, LABELS, DESCRIPTION, "/healthz", "/readyz", "/metrics"} == document["paths"].keys()


@pytest.mark.parametrize(
    "request_",
    [
        {"input": "a"},
        {"input": ["a", "b"], "model": "omni-moderation-latest"},
        {"input": [{"type": "text", "text": "a"}], "aegis": {"role": "assistant", "mode": "direct"}},
    ],
)
def test_requests_of_openai_s_client_are_valid(request_: dict[str, Any]) -> None:
    check("ModerationRequest", request_)


def test_what_the_schema_refuses_is_refused_here_too() -> None:
    several: tuple[dict[str, Any], ...] = ({}, {"input": []}, {"input": "a", "aegis": {"role": "boss"}})
    for bad in (*several, {"input": ["a"] * 257}):
        with pytest.raises(jsonschema.ValidationError):
            check("ModerationRequest", bad)


def test_a_label_may_leave_its_annotator_out() -> None:
    label = {"turn_id": "t", "conversation_id": "c", "label": "safe", "labelled_at": "2026-01-01T00:00:00Z"}
    check("GivenLabel", label)
    with pytest.raises(jsonschema.ValidationError):
        check("GivenLabel", {**label, "label": "bad"})


def test_the_categories_are_those_of_the_openai_package() -> None:
    schema = json.loads(msgspec.json.encode(openapi.document()))["components"]["schemas"]["Categories"]
    theirs = openai.types.moderation.Categories.model_fields
    assert schema["properties"].keys() == {field.alias or name for name, field in theirs.items()}
