"""The published contract, generated from the structs: AsyncAPI 3.0, and a JSON Schema for each record.

`python -m stream.asyncapi` writes `stream/contracts/`; a test fails when what stands there is not what the structs say.
"""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from stream import records
from stream.asyncapi_examples import EXAMPLES

FOLDER = Path(__file__).parent / "contracts"
VERSION = "1.5.0"
"""Of the contract: the first number is the `.v1` of the topics, the second rises with each field that is added."""

CONVENTIONS = """\
JSON in UTF-8. Unknown fields are ignored, on both sides; a message that cannot be used is a dead letter, its bytes
untouched.

Channel addresses stand under the default prefix of topics (`AEGIS_TOPIC_PREFIX`). Keys are UTF-8; Java's hash of them
(murmur2) and librdkafka's (CRC32) will both do. Verdicts and dead letters come at least once: the same bytes for the
same `turn_id`, the same source offset. Inside a major version fields, topics, headers and statuses of experts may come,
and nothing goes."""


@dataclass(frozen=True)
class Channel:
    """A topic: whose records it holds, and what the worker does with them: it receives or sends.

    `headers`: by name what they say; none of them is required."""

    structs: tuple[type[msgspec.Struct], ...]
    action: str
    summary: str
    compacted: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


TRACE = {
    "traceparent": "W3C trace context, optional: that of a turn is on its verdict",
    "tracestate": "W3C trace context, optional: that of a turn is on its verdict",
}
REPLAYED = {
    "aegis-replayed": "where its last dead letter stands, partition:offset; only of a message that was sent again",
    "aegis-replays": "how often it was sent again by then",
}
"""They are on the message that is sent again, and on its dead letter when it fails again."""
SEARCH = {
    "aegis-tried": "partitions where its turn was looked for, comma-separated; written by workers that forward it",
    "aegis-first": "when the search began, ms since 1970",
    "aegis-tries": "how often the search was given up for a pause",
    "aegis-at": "timestamp of the label's first record, ms since 1970",
}
"""Of a label that looks for its turn: clients write none of them."""
REASONS = (
    "empty",
    "not_utf8",
    "not_json",
    "missing_field",
    "wrong_type",
    "out_of_range",
    "text_too_large",
    "metadata_too_large",
    "label_too_large",
    "turn_id_reused",
    "turn_not_found",
    "too_many_votes",
)
DEAD_LETTERS = {
    "aegis-reason": f"why it cannot be used: {', '.join(REASONS)}; more may come",
    "aegis-detail": "one line for a person; quotes no text",
    "aegis-topic": "the topic it came from",
    "aegis-partition": "its partition there",
    "aegis-offset": "its offset there",
}

CHANNELS: dict[str, Channel] = {
    "turns.v1": Channel((records.Turn,), "receive", "producers publish a turn", headers=TRACE | REPLAYED),
    "labels.v1": Channel((records.Label,), "receive", "people's labels, hours later", headers=SEARCH | REPLAYED),
    "verdicts.v1": Channel((records.Verdict,), "send", "one decision a turn", headers=TRACE),
    "weights.v1": Channel((records.Weights,), "send", "what the ensemble believes of a context", compacted=True),
    "experts.v1": Channel((records.ExpertMode,), "receive", "which experts vote", compacted=True),
    "requests.v1": Channel(
        (records.Revocation, records.Erasure, records.Fulfilment),
        "receive",
        "what operators ask of all workers, and how far each partition has carried it out",
        compacted=True,
    ),
}
KEYS = {
    "Turn": "conversation_id",
    "Label": "conversation_id",
    "Verdict": "conversation_id",
    "Weights": "context",
    "ExpertMode": "the expert's name",
    "Revocation": '["revoke", tenant, annotator, since in ms] as JSON',
    "Erasure": '["forget", tenant, "conversation" or "turn", id] as JSON',
    "Fulfilment": '["fulfilled", partition] as JSON',
    "DeadLetter": "the source's",
}
SERVERS = {
    "plaintext": {
        "host": "127.0.0.1:9092",
        "protocol": "kafka",
        "description": "The broker of `aegis broker start`, or any that only its own network reaches.",
    },
    "secured": {
        "host": "{broker}",
        "protocol": "kafka-secure",
        "description": "Over TLS, with a client certificate or SASL. `aegis topics acls` prints the least rights.",
        "variables": {"broker": {"default": "kafka.example:9093", "description": "AEGIS_BROKER"}},
        "security": [
            {"$ref": f"#/components/securitySchemes/{name}"}
            for name in ("certificate", "scram512", "scram256", "plain", "oauthbearer")
        ],
    },
}
SECURITY = {
    "certificate": {"type": "X509", "description": "AEGIS_SSL_CERT_FILE, AEGIS_SSL_KEY_FILE"},
    "scram512": {"type": "scramSha512", "description": "AEGIS_SASL_MECHANISM=SCRAM-SHA-512"},
    "scram256": {"type": "scramSha256", "description": "AEGIS_SASL_MECHANISM=SCRAM-SHA-256"},
    "plain": {"type": "plain", "description": "AEGIS_SASL_MECHANISM=PLAIN"},
    "oauthbearer": {
        "type": "oauth2",
        "description": "AEGIS_SASL_MECHANISM=OAUTHBEARER, from AEGIS_SASL_TOKEN_URL or AEGIS_SASL_TOKEN_FILE",
        "flows": {"clientCredentials": {"tokenUrl": "https://identity.example/token", "availableScopes": {}}},
    },
}


def schemas() -> dict[str, dict[str, Any]]:
    """A self-contained JSON Schema (2020-12) of each record, by its name."""
    return {
        struct.__name__: {"$schema": "https://json-schema.org/draft/2020-12/schema", **_schema(struct)}
        for channel in CHANNELS.values()
        for struct in channel.structs
    }


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    schema: dict[str, Any] = _outdented(msgspec.json.schema(struct))
    return schema


def _outdented(node: Any) -> Any:
    """A schema whose descriptions are not indented as docstrings are in code."""
    if isinstance(node, dict):
        return {
            key: inspect.cleandoc(value) if key == "description" and isinstance(value, str) else _outdented(value)
            for key, value in node.items()
        }
    return [_outdented(each) for each in node] if isinstance(node, list | tuple) else node


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document. Channel addresses stand under the default topic prefix."""
    structs = [struct for channel in CHANNELS.values() for struct in channel.structs]
    _, components = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Aegis Stream",
            "version": VERSION,
            "description": CONVENTIONS,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": SERVERS,
        "channels": {**{name: _channel(name) for name in CHANNELS}, "dead-letters.v1": _dead_letters()},
        "operations": {
            **{f"{each.action}-{name}": _operation(name, each.action, each.summary) for name, each in CHANNELS.items()},
            "send-dead-letters.v1": _operation("dead-letters.v1", "send", "what cannot be used is set aside"),
        },
        "components": {"schemas": _outdented(components), "securitySchemes": SECURITY},
    }


def _operation(name: str, action: str, summary: str) -> dict[str, Any]:
    """`action` is the worker's: what it receives, others send."""
    return {"action": action, "channel": {"$ref": f"#/channels/{name}"}, "summary": summary}


def _channel(name: str) -> dict[str, Any]:
    channel = CHANNELS[name]
    messages = {struct.__name__: _message(struct, channel.headers) for struct in channel.structs}
    return {
        "address": f"aegis.{name}",
        "description": channel.summary,
        "messages": messages,
        "bindings": _topic(channel.compacted),
    }


def _topic(compacted: bool) -> dict[str, Any]:
    policy = {"cleanup.policy": ["compact" if compacted else "delete"]}
    return {"kafka": {"topicConfiguration": policy, "bindingVersion": "0.5.0"}}


def _message(struct: type[msgspec.Struct], headers: Mapping[str, str]) -> dict[str, Any]:
    name = struct.__name__
    message: dict[str, Any] = {"name": name, "payload": {"$ref": f"#/components/schemas/{name}"}}
    if headers:
        message["headers"] = {"type": "object", "properties": _properties(headers)}
    examples = [
        {"name": f"{name}-{number}", "summary": summary, "payload": json.loads(msgspec.json.encode(record))}
        for number, (summary, record) in enumerate(EXAMPLES.get(struct, ()), 1)
    ]
    return {**message, "bindings": _keyed(name), "examples": examples}


def _properties(headers: Mapping[str, str]) -> dict[str, Any]:
    """Kafka's headers are bytes; all of ours are text."""
    return {name: {"type": "string", "description": what} for name, what in headers.items()}


def _keyed(name: str) -> dict[str, Any]:
    return {"kafka": {"key": {"type": "string", "description": KEYS[name]}, "bindingVersion": "0.5.0"}}


def _dead_letters() -> dict[str, Any]:
    headers = {"type": "object", "required": list(DEAD_LETTERS), "properties": _properties(DEAD_LETTERS | REPLAYED)}
    example = {
        "name": "DeadLetter-1",
        "summary": "A turn that lacks its role",
        "headers": {
            "aegis-reason": "missing_field",
            "aegis-detail": "Object missing required field `role`",
            "aegis-topic": "aegis.turns.v1",
            "aegis-partition": "3",
            "aegis-offset": "1043",
        },
        "payload": '{"turn_id":"7d0e","conversation_id":"chat-42","text":"Hello!","sent_at":"2026-03-01T12:00:00Z"}',
    }
    message = {
        "name": "DeadLetter",
        "contentType": "application/octet-stream",
        "headers": headers,
        "payload": {"description": "the source's bytes, untouched"},
        "bindings": _keyed("DeadLetter"),
        "examples": [example],
    }
    return {
        "address": "aegis.dead-letters.v1",
        "description": "every message that cannot be used",
        "messages": {"DeadLetter": message},
        "bindings": _topic(compacted=False),
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
