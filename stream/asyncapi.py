"""The published contract, generated from the structs: AsyncAPI 3.0, and a JSON Schema for each record.

`python -m stream.asyncapi` writes `stream/contracts/`; a test fails when what stands there is not what the structs say.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from stream import records

FOLDER = Path(__file__).parent / "contracts"
VERSION = "1.3.0"
"""Of the contract: the first number is the `.v1` of the topics, the second rises with each field that is added."""

CHANNELS: dict[str, tuple[tuple[type[msgspec.Struct], ...], str, str]] = {
    "turns.v1": ((records.Turn,), "receive", "producers publish a turn; key: conversation_id"),
    "labels.v1": ((records.Label,), "receive", "people's labels, hours later; key: conversation_id"),
    "verdicts.v1": ((records.Verdict,), "send", "one decision a turn; key: conversation_id"),
    "weights.v1": ((records.Weights,), "send", "what the ensemble believes of a context; key: context; compacted"),
    "experts.v1": ((records.ExpertMode,), "receive", "which experts vote; key: the expert's name; compacted"),
    "requests.v1": (
        (records.Revocation, records.Erasure, records.Fulfilment),
        "receive",
        "what operators ask of all workers, and how far each partition has carried it out; compacted",
    ),
}
DEAD_LETTERS = {
    "aegis-reason": "why it cannot be used, of a closed set",
    "aegis-detail": "one line for a person; quotes no text",
    "aegis-topic": "the topic it came from",
    "aegis-partition": "its partition there",
    "aegis-offset": "its offset there",
}

REPLAYED = {
    "aegis-replayed": "where its last dead letter stands, partition:offset; only of a message that was sent again",
    "aegis-replays": "how often it was sent again by then",
}
"""They are on the message that is sent again, and on its dead letter when it fails again."""


def schemas() -> dict[str, dict[str, Any]]:
    """A self-contained JSON Schema (2020-12) of each record, by its name."""
    return {
        struct.__name__: {"$schema": "https://json-schema.org/draft/2020-12/schema", **_schema(struct)}
        for structs, _, _ in CHANNELS.values()
        for struct in structs
    }


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return msgspec.json.schema(struct)


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document. Channel addresses stand under the default topic prefix."""
    structs = [struct for several, _, _ in CHANNELS.values() for struct in several]
    _, components = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Aegis Stream",
            "version": VERSION,
            "description": "JSON in UTF-8. Unknown fields are ignored; a message that cannot be used is a dead letter.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {**{name: _channel(name) for name in CHANNELS}, "dead-letters.v1": _dead_letters()},
        "operations": {
            f"{action}-{name}": {"action": action, "channel": {"$ref": f"#/channels/{name}"}, "summary": summary}
            for name, (_, action, summary) in CHANNELS.items()
        },
        "components": {"schemas": components},
    }


def _channel(name: str) -> dict[str, Any]:
    structs, _, summary = CHANNELS[name]
    names = [struct.__name__ for struct in structs]
    messages = {each: {"name": each, "payload": {"$ref": f"#/components/schemas/{each}"}} for each in names}
    return {"address": f"aegis.{name}", "description": summary, "messages": messages}


def _dead_letters() -> dict[str, Any]:
    headers = {name: {"type": "string", "description": what} for name, what in (DEAD_LETTERS | REPLAYED).items()}
    message = {
        "name": "DeadLetter",
        "contentType": "application/octet-stream",
        "headers": {"type": "object", "required": list(DEAD_LETTERS), "properties": headers},
        "payload": {"description": "the source's bytes, untouched"},
    }
    return {
        "address": "aegis.dead-letters.v1",
        "description": "every message that cannot be used; key: the source's",
        "messages": {"DeadLetter": message},
    }


def files() -> dict[str, str]:
    """The generated files by name."""
    documents = {f"{name.lower()}.schema.json": schema for name, schema in schemas().items()}
    documents["asyncapi.json"] = document()
    return {name: json.dumps(content, indent=2) + "\n" for name, content in documents.items()}


def main() -> None:
    """Write the files."""
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
