"""What of a request for labels is a label, and whose."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream.codecs import Rejected
from stream.gateway.labels import check, split
from stream.records import Label
from stream.web.answers import Refusal
from stream.web.callers import Caller

LABEL = {
    "turn_id": "t",
    "conversation_id": "c",
    "label": "unsafe",
    "labelled_at": "2026-01-01T00:00:00Z",
}
ANN, TOOL, BOUND = Caller("ann"), Caller("tool", names_annotators=True), Caller("ann", tenant="acme")


def checked(caller: Caller, **fields: Any) -> Label | Rejected:
    return check(json.dumps({**LABEL, **fields}).encode(), caller)


def refused(caller: Caller, **fields: Any) -> str:
    found = checked(caller, **fields)
    assert isinstance(found, Rejected)
    return found.reason


def label(caller: Caller, **fields: Any) -> Label:
    found = checked(caller, **fields)
    assert isinstance(found, Label)
    return found


def test_the_annotator_is_the_caller_unless_it_may_name_others() -> None:
    assert label(ANN).annotator == "ann"
    assert label(ANN, annotator="ann").annotator == "ann"
    assert refused(ANN, annotator="bob") == "annotator"
    assert label(TOOL, annotator="bob").annotator == "bob"
    assert label(TOOL).annotator == "tool"


def test_the_tenant_of_a_bound_caller_is_filled_in_and_may_be_no_other() -> None:
    assert label(ANN).tenant == "default"
    assert label(ANN, tenant="acme").tenant == "acme"
    assert label(BOUND).tenant == "acme"
    assert refused(BOUND, tenant="other") == "tenant"


def test_what_the_contract_refuses_is_refused_by_its_reason() -> None:
    assert refused(ANN, label="bad") == "wrong_type"
    assert refused(ANN, turn_id="") == "out_of_range"
    assert refused(ANN, labelled_at="2026-01-01T00:00:00") == "wrong_type"
    assert refused(ANN, annotator=None) == "wrong_type"
    assert refused(ANN, categories=["x" * 70_000]) == "label_too_large"
    for body in (b"", b"[]", b"5", b"{", b"\xff", b'{"a":' * 50_000):
        found = check(body, ANN)
        assert isinstance(found, Rejected), body[:9]
    assert label(ANN, unknown={"nested": [1]}, source={"topic": "x", "partition": 1, "offset": 2}).source


def test_one_label_or_a_list_of_them_may_be_sent() -> None:
    assert list(split(b' {"a": 1}')) == [b' {"a": 1}']
    assert list(split(b' [{"a": 1}, 5]')) == [b'{"a": 1}', b"5"]
    for body in (b"[]", b"[", b"[" + b",".join([b"1"] * 1001) + b"]"):
        with pytest.raises(Refusal):
            split(body)
