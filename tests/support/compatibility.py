"""What a contract promises those who were written for an earlier one of the same major version, and what breaks it.

Producers of before must be understood: no field becomes required, nothing that was allowed is refused, an absent field
means what it meant. Consumers of before must understand: every field that was always there is there, as what it was.
Turns and labels are written by others alone, so they may become wider."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jsonschema

from support import recordings

Json = dict[str, Any]
WIDER: Final = {"Turn", "Label"}
GROWING: Final = {"Verdict.experts[].status"}
"""Enums of what we publish that gain values inside a major version; README of the examples tells consumers so."""
ACCEPTED: Final[Mapping[str, str]] = {
    "Turn.history: maxItems is 1000, was none": "38,000 empty entries fit into one message, and all experts read them"
}
"""Breaks that stand, with the reason why they had to be."""
LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
PROSE: Final = {"description", "summary", "title", "examples"}


def broken_promises(version: str, document: Json) -> list[str]:
    """What in a document of this version breaks what a recorded one of the same major version promised."""
    major = version.split(".")[0]
    earlier = [v for v in recordings.versions() if v.split(".")[0] == major]
    return [f"since {v}: {line}" for v in earlier for line in breaks(recordings.document(v), document)]


def shape(document: Json) -> Json:
    """A document without its prose: two of one shape are one contract."""
    channels = {
        name: (channel["address"], _bare(channel["messages"], {"payload"}))
        for name, channel in document["channels"].items()
    }
    return {"channels": channels, "schemas": _bare(document["components"]["schemas"], set())}


def _bare(node: Any, also: set[str], named: bool = True) -> Any:
    """`named`: the keys are names of fields and messages, none of which is prose."""
    if isinstance(node, dict):
        kept = node if named else {key: value for key, value in node.items() if key not in PROSE | also}
        return {key: _bare(value, also, key in ("properties", "$defs")) for key, value in kept.items()}
    return [_bare(each, also, False) for each in node] if isinstance(node, list | tuple) else node


def validate(message: Any, record: str, document: Json) -> None:
    """Raises jsonschema's ValidationError where a document does not allow this message of a record's kind."""
    reference = {"$ref": f"#/components/schemas/{record}", "components": document["components"]}
    jsonschema.validate(message, reference, jsonschema.Draft202012Validator)


def readable_by_all(value: bytes, record: str) -> None:
    """What is written today is valid by every recorded version that knows such records, for readers who take an unknown
    value of what may grow. Raises jsonschema's ValidationError."""
    for version in recordings.versions():
        document = recordings.document(version)
        if record in (known := document["components"]["schemas"]):
            assert list(GROWING) == ["Verdict.experts[].status"]
            known["Opinion"]["properties"]["status"] = {"type": "string"}
            validate(json.loads(value), record, document)


def breaks(old: Json, new: Json) -> Iterator[str]:
    """Every promise of `old` that `new` does not keep, a line each."""
    for name, channel in old["channels"].items():
        if name not in new["channels"]:
            yield f"channel {name}: is gone"
            continue
        now = new["channels"][name]
        if channel["address"] != now["address"]:
            yield f"channel {name}: address is {now['address']}, was {channel['address']}"
        for record, message in channel["messages"].items():
            if record not in now["messages"]:
                yield f"{record}: is gone from {name}"
                continue
            later = now["messages"][record]
            compare = _Comparison(old, new, record in WIDER)
            for part in ("headers", "payload"):
                if "properties" in message.get(part, {}) or "$ref" in message.get(part, {}):
                    where = record if part == "payload" else f"{record} headers"
                    found = compare.nodes(message[part], later.get(part, {}), where)
                    yield from (line for line in found if line not in ACCEPTED)


class _Comparison:
    """Of two schemas in their documents. `wider`: what is allowed may grow."""

    def __init__(self, old: Json, new: Json, wider: bool) -> None:
        self._documents = old, new
        self._wider = wider

    def nodes(self, old: Json, new: Json, path: str) -> Iterator[str]:
        old, new = self._followed(old, 0), self._followed(new, 1)
        was, now = _alternatives(old), _alternatives(new)
        if len(was) > 1 or len(now) > 1:
            yield from self._alternatives(was, now, path)
            return
        if old.get("type") != new.get("type"):
            if not (self._wider and (old.get("type"), new.get("type")) == ("integer", "number")):
                yield f"{path}: type is {new.get('type')}, was {old.get('type')}"
            return
        yield from self._enum(old, new, path)
        yield from self._bounds(old, new, path)
        for key in ("format", "pattern", "const"):
            if old.get(key) != new.get(key):
                yield f"{path}: {key} is {new.get(key)}, was {old.get(key)}"
        if "properties" in old:
            yield from self._properties(old, new, path)
        if "items" in old:
            yield from self.nodes(old["items"], new.get("items", {}), f"{path}[]")
        if isinstance(values := old.get("additionalProperties"), dict):
            yield from self.nodes(values, new.get("additionalProperties") or {}, f"{path}{{}}")
        elif new.get("additionalProperties") is False:
            yield f"{path}: forbids further fields"

    def _followed(self, node: Json, which: int) -> Json:
        """A reference's target, with what stands beside the reference (a default, a description)."""
        if (reference := node.get("$ref")) is None:
            return node
        found: Json = self._documents[which]
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        return {**found, **{key: value for key, value in node.items() if key != "$ref"}}

    def _alternatives(self, was: list[Json], now: list[Json], path: str) -> Iterator[str]:
        before = {str(self._followed(node, 0).get("type")): node for node in was}
        after = {str(self._followed(node, 1).get("type")): node for node in now}
        for kind in sorted(before.keys() | after.keys()):
            if kind not in after:
                yield f"{path}: {kind} is refused"
            elif kind not in before:
                if not self._wider:
                    yield f"{path}: {kind} is new"
            else:
                yield from self.nodes(before[kind], after[kind], path)

    def _enum(self, old: Json, new: Json, path: str) -> Iterator[str]:
        was, now = set(old.get("enum", ())), set(new.get("enum", ()))
        if not was and not now:
            return
        if gone := sorted(was - now, key=str) if now else []:
            yield f"{path}: {', '.join(map(str, gone))} is gone"
        if not was:
            yield f"{path}: is a closed set"
        elif not self._wider and (not now or (now - was and path not in GROWING)):
            yield f"{path}: {', '.join(sorted(map(str, now - was))) or 'anything'} is new"

    def _bounds(self, old: Json, new: Json, path: str) -> Iterator[str]:
        for keys, direction in ((LOWER, 1), (UPPER, -1)):
            for key in keys:
                was, now = old.get(key), new.get(key)
                if was == now:
                    continue
                tighter = now is not None and (was is None or (now - was) * direction > 0)
                if tighter or not self._wider:
                    yield f"{path}: {key} is {_or_none(now)}, was {_or_none(was)}"

    def _properties(self, old: Json, new: Json, path: str) -> Iterator[str]:
        was, now = old["properties"], new.get("properties", {})
        required, requires = set(old.get("required", ())), set(new.get("required", ()))
        for name, node in was.items():
            if name not in now:
                yield f"{path}.{name}: is gone"
                continue
            yield from self.nodes(node, now[name], f"{path}.{name}")
            if name in requires - required:
                yield f"{path}.{name}: is required now"
            elif "default" in node and node["default"] != now[name].get("default", ...):
                then, later = (_or_none(each.get("default")) for each in (node, now[name]))
                yield f"{path}.{name}: default is {later}, was {then}"
            if name in required - requires and not self._wider:
                yield f"{path}.{name}: is not always there any more"
        yield from (f"{path}.{name}: is new and required" for name in sorted(requires - was.keys()))


def _alternatives(node: Json) -> list[Json]:
    return node.get("anyOf") or [node]


def _or_none(value: Any) -> Any:
    return "none" if value is None else value
