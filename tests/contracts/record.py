"""`python -m contracts.record`: keeps messages and state as this version writes them, for the tests of all that follow.

What is recorded is not written again: a contract that changed gets another version (`stream.asyncapi.VERSION`). With
`--again` it is, for a version that nobody has used yet.

It runs over older code too, which comes first in PYTHONPATH: that is how the versions before it were recorded."""

from __future__ import annotations

import json
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ensemble import codec
from ensemble.moments import Moments
from stream import asyncapi, records, state
from support.recordings import FOLDER, meaning
from support.rounds import PANEL, learned, random_rounds
from support.samples import SAMPLES, STATE, Json


def messages() -> Iterator[Json]:
    """Each sample that this version can read: as clients write it where it is theirs, else as this version does."""
    for record, topic, message in SAMPLES:
        struct, text = getattr(records, record, None), json.dumps(message, ensure_ascii=False)
        if struct is None:
            continue
        try:
            read = msgspec.json.decode(text, type=struct)
        except msgspec.ValidationError:  # a value that this version does not know
            continue
        value = text if topic in ("turns.v1", "labels.v1") else msgspec.json.encode(read).decode()
        yield {"record": record, "topic": topic, **key_of(read), "value": value, "means": meaning(read)}


def key_of(record: Any) -> Json:
    """The key of a request, by which later ones find it; other keys are named in the contract."""
    if type(record).__name__ not in ("Revocation", "Erasure", "Fulfilment"):
        return {}
    from stream import requests  # here: the first versions have none

    match type(record).__name__:
        case "Revocation":
            key = requests.revocation_key(record)
        case "Erasure":
            key = requests.erasure_key(record)
        case _:
            key = requests.fulfilment_key(record.partition)
    return {"key": key.decode()}


def kept() -> Iterator[Json]:
    """The state's samples, less the fields that this version has not."""
    for name, samples in STATE.items():
        if (struct := getattr(state, name, None)) is None:
            continue
        for sample in samples:
            record = struct(**{field: sample[field] for field in struct.__struct_fields__})
            yield {"record": name, "value": in_base64(state.encode(record)), "means": meaning(record)}
    told = {"schema": codec.VERSION}
    yield {"record": "Moments", "value": in_base64(codec.encode(moments())), "means": told}
    claim = state.claim_value(4) if hasattr(state, "claim_value") else b""
    yield {"record": "Claim", "value": in_base64(claim), "means": {"by": state.VERSION if claim else None}}
    for name, key in KEYS.items():
        yield {"record": name, "value": in_base64(key()), "means": {}}


KEYS: dict[str, Callable[[], bytes]] = {
    "pending_key": lambda: state.pending_key("kitchen", "ü-✓-2"),
    "early_key": lambda: state.early_key("kitchen", "ü-✓-2", "ann"),
    "conversation_key": lambda: state.conversation_key("kitchen", "c-1"),
    "moments_key": lambda: state.moments_key("kitchen/user"),
}
"""Under which the state keeps its records."""


def in_base64(value: bytes) -> str:
    return b64encode(value).decode()


def moments() -> Moments:
    """Of a few made-up rounds of two experts."""
    panel = PANEL[:2]
    return learned(random_rounds(seed=1, count=3, experts=len(panel)), panel)


def write(folder: Path) -> None:
    """Raises FileExistsError where this version is recorded already."""
    folder.mkdir(parents=True)
    (folder / "asyncapi.json").write_text(asyncapi.files()["asyncapi.json"], "utf-8")
    for name, lines in (("messages.jsonl", messages()), ("state.jsonl", kept())):
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / name).write_text(text, "utf-8")


def main(arguments: list[str]) -> None:
    if arguments == ["--again"]:
        shutil.rmtree(FOLDER / asyncapi.VERSION, ignore_errors=True)
    try:
        write(FOLDER / asyncapi.VERSION)
    except FileExistsError:
        print(f"contract {asyncapi.VERSION} is recorded already: nothing was written", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
