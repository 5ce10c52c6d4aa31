"""Whatever comes over HTTP is a turn, a label or a refusal, never another exception."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream.codecs import Rejected
from stream.gateway import asking
from stream.gateway.labels import check, split
from stream.gateway.signatures import SIGNATURE, signer
from stream.records import Label
from stream.web.answers import Refusal
from stream.web.callers import Caller, parse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIGNED = parse("hooks:whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
NAMES = ("input", "model", "aegis", "type", "text", "role", "tenant", "history", "metadata", "turn_id", "annotator")
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)
REQUESTS = st.fixed_dictionaries({"input": JSON}, optional={"model": JSON, "aegis": JSON})
BODIES = st.binary(max_size=64) | st.builds(lambda value: json.dumps(value).encode(), JSON | REQUESTS)
HEADERS = st.dictionaries(
    st.sampled_from([*(f"Aegis-{name}" for name in ("Role", "Tenant", "Mode", "Conversation-Id")), asking.KEY]),
    st.binary(max_size=8).map(lambda value: value.decode("utf-8", "surrogateescape")),  # as aiohttp decodes them
)


@given(BODIES | st.just(b'{"input": "Hello"}'), HEADERS)
def test_of_a_moderation(body: bytes, headers: dict[str, Any]) -> None:
    with suppress(Refusal):
        key = asking.checked_key(headers)
        turns = asking.turns(asking.decode(body, headers), Caller("svc"), key, NOW, 1000)
        assert turns


@given(BODIES)
def test_of_labels(body: bytes) -> None:
    with suppress(Refusal):
        assert all(isinstance(check(raw, Caller("svc")), Label | Rejected) for raw in split(body))


@given(st.binary(max_size=64), st.text(max_size=64), st.text(max_size=16), st.text(max_size=16))
def test_of_a_signature(body: bytes, signature: str, identity: str, timestamp: str) -> None:
    with suppress(Refusal):
        headers = {SIGNATURE: signature, "webhook-id": identity, "webhook-timestamp": timestamp}
        raise AssertionError(signer(headers, body, SIGNED, 0.0))
