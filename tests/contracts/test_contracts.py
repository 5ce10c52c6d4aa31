"""The published contract is what the structs say, and what the worker decodes is what the contract allows."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from stream import asyncapi
from stream.codecs import Rejected, decode_label, decode_turn, encode
from stream.dead_letters import DETAIL, OFFSET, PARTITION, REASON, TOPIC
from stream.records import (
    Erasure,
    Fulfilment,
    Label,
    Opinion,
    Request,
    Revocation,
    Source,
    Standing,
    Turn,
    Utterance,
    Verdict,
    Weights,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TURN = Turn("t", "c", "assistant", "text", NOW, "acme", (Utterance("user", "before"),), {"a": "b"})
LABEL = Label("t", "c", "unsafe", "ann", NOW, "acme", ("Violence",), Source("aegis.turns.v1", 3, 7))
VERDICT = Verdict(
    "t", "c", "acme", "user", "safe", None, "permissive", {"Violence": 0.5}, (Opinion("e", "1", None, 0.0, "timeout"),),
    "acme/user", 12, Source("aegis.turns.v1", 3, 7), NOW, 25, {},
)  # fmt: skip
WEIGHTS = Weights("acme/user", "permissive", 12, 0, NOW, (Standing("e@1", 1.0, 2.0, 0.0),), 2.0, None, 3.0, False)
REVOCATION = Revocation("ann", None, NOW, NOW, NOW, undone=True)
ERASURE = Erasure("acme", NOW, turn_id="t")
FULFILMENT = Fulfilment(3, {0: 17}, {'["forget", "acme", "turn", "t"]': 2}, NOW)


@pytest.mark.parametrize("name", sorted(asyncapi.files()))
def test_the_published_file_is_what_the_structs_say(name: str) -> None:
    published = (asyncapi.FOLDER / name).read_text("utf-8")
    assert published == asyncapi.files()[name], "run `python -m stream.asyncapi`, and note the change in CHANGELOG.md"


@pytest.mark.parametrize(
    "record", [TURN, LABEL, VERDICT, WEIGHTS, REVOCATION, ERASURE, FULFILMENT], ids=lambda record: type(record).__name__
)
def test_a_record_is_valid_under_its_schema(record: Turn | Label | Verdict | Weights | Request) -> None:
    jsonschema.validate(json.loads(encode(record)), asyncapi.schemas()[type(record).__name__])


BAD: list[tuple[str, dict[str, Any]]] = [
    ("Turn", {"turn_id": ""}),
    ("Turn", {"role": "boss"}),
    ("Turn", {"text": 5}),
    ("Turn", {"history": [{"role": "user"}]}),
    ("Label", {"label": "bad"}),
    ("Label", {"annotator": ""}),
]


@pytest.mark.parametrize(("name", "change"), BAD)
def test_what_the_schema_refuses_the_worker_refuses_too(name: str, change: dict[str, Any]) -> None:
    good = json.loads(encode(TURN if name == "Turn" else LABEL))
    bad = {**good, **change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, asyncapi.schemas()[name])
    value = json.dumps(bad).encode()
    assert isinstance(decode_turn(value, 1000) if name == "Turn" else decode_label(value), Rejected)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = asyncapi.document()

    def follow(node: Any) -> None:
        if isinstance(node, dict):
            if (reference := node.get("$ref")) is not None:
                found = document
                for part in reference.removeprefix("#/").split("/"):
                    found = found[part]
            for child in node.values():
                follow(child)
        elif isinstance(node, list):
            for child in node:
                follow(child)

    follow(document)


def test_the_document_names_the_headers_that_dead_letters_have() -> None:
    assert set(asyncapi.DEAD_LETTERS) == {REASON, DETAIL, TOPIC, PARTITION, OFFSET}
