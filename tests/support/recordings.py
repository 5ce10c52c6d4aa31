"""Messages and state of each version of the contract, as that version wrote them: `tests/contracts/recorded/VERSION`.

`asyncapi.json` is the contract as it was published; `messages.jsonl` has for each message its bytes and what they meant
to that version, every field of it, those with defaults too; `state.jsonl` the same of records of the state."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

FOLDER: Final = Path(__file__).resolve().parents[1] / "contracts" / "recorded"


@dataclass(frozen=True)
class Recording:
    """One record of one version: of the wire (`topic` says where) or of the state (`topic` is empty)."""

    version: str
    record: str
    topic: str
    key: bytes | None
    value: bytes
    means: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.version}-{self.record}"


def versions() -> list[str]:
    """Those that are recorded, the oldest first."""
    found = [path.name for path in FOLDER.iterdir() if path.is_dir()]
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def document(version: str) -> dict[str, Any]:
    """The AsyncAPI document as this version published it."""
    found: dict[str, Any] = json.loads((FOLDER / version / "asyncapi.json").read_text("utf-8"))
    return found


def messages() -> list[Recording]:
    """Every message of every version."""
    return [recording for version in versions() for recording in _read(version, "messages.jsonl")]


def state() -> list[Recording]:
    """Every record of the state of every version."""
    return [recording for version in versions() for recording in _read(version, "state.jsonl")]


def _read(version: str, name: str) -> Iterator[Recording]:
    for line in (FOLDER / version / name).read_text("utf-8").splitlines():
        found = json.loads(line)
        # The wire is text, and stands here as text; the state is bytes.
        value = b64decode(found["value"]) if name == "state.jsonl" else found["value"].encode()
        key = found.get("key")
        yield Recording(version, found["record"], found.get("topic", ""), key and key.encode(), value, found["means"])


def meaning(record: Struct) -> dict[str, Any]:
    """Every field of a record as JSON says it, those at their defaults too; less what is UNSET."""
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return {name: _meaning(value) for name, value in fields.items() if value is not UNSET}


def _meaning(value: Any) -> Any:
    if isinstance(value, Struct):
        return meaning(value)
    if isinstance(value, list | tuple):
        return [_meaning(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _meaning(each) for key, each in value.items()}
    return msgspec.to_builtins(value)


def differences(means: Any, found: Any, path: str = "$") -> list[str]:
    """Where a decoded value is not what it meant. Fields of a struct that the recording does not know must stand at
    their defaults; keys of a map and items of a list must be the same."""
    if isinstance(found, Struct):
        return list(_of_struct(means, found, path))
    if isinstance(found, dict) and isinstance(means, dict) and means.keys() == {str(key) for key in found}:
        return [line for key, each in found.items() for line in differences(means[str(key)], each, f"{path}.{key}")]
    if isinstance(found, list | tuple) and isinstance(means, list) and len(means) == len(found):
        pairs = enumerate(zip(means, found, strict=True))
        return [line for i, (then, now) in pairs for line in differences(then, now, f"{path}[{i}]")]
    return [] if means == _meaning(found) else [f"{path}: {means!r} became {_meaning(found)!r}"]


def _of_struct(means: Any, found: Struct, path: str) -> Iterator[str]:
    if not isinstance(means, dict):
        yield f"{path}: {means!r} became a record"
        return
    fields = {field.name: field for field in msgspec.structs.fields(type(found))}
    yield from (f"{path}.{name}: is gone" for name in means.keys() - fields.keys())
    for name, field in fields.items():
        value = getattr(found, name)
        if name in means:
            yield from differences(means[name], value, f"{path}.{name}")
        elif field.required:
            yield f"{path}.{name}: is new, and required"
        else:
            factory = field.default_factory
            default = field.default if factory is msgspec.NODEFAULT else factory()
            if value != default:
                yield f"{path}.{name}: is new, and {value!r} where its default is {default!r}"
