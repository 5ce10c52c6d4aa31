"""Our verdicts in OpenAI's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import openai.types
import pytest

from experts.taxonomy import RISKS
from stream.gateway.answering import response
from stream.gateway.categories import CATEGORIES, UNMAPPED
from stream.gateway.shapes import Way
from stream.records import LabelName, Opinion, Source, Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def verdict(label: LabelName = "unsafe", score: float | None = 0.9, **categories: float) -> Verdict:
    opinions = (Opinion("risks", "1", score, 1.0, "ok"),)
    source = Source("aegis.turns.v1", 3, 7)
    return Verdict(
        "t", "c", "acme", "user", label, score, "defensive", categories, opinions, "acme/user", 12, source, NOW, 25, {}
    )


def answered(one: Verdict, way: Way = "topics") -> tuple[openai.types.ModerationCreateResponse, dict[str, Any]]:
    body = msgspec.json.encode(response([one], way))
    (result,) = msgspec.json.decode(body)["results"]
    # Strict about names and types, as the client itself is not.
    return openai.types.ModerationCreateResponse.model_validate_json(body, strict=True), result


def test_every_field_of_openai_is_there_and_ours_are_beside_them() -> None:
    parsed, result = answered(verdict(violence=0.8))
    for part in ("categories", "category_scores", "category_applied_input_types"):
        theirs = openai.types.Moderation.model_fields[part].annotation
        assert theirs is not None
        wanted = {field.alias or name for name, field in theirs.model_fields.items()}
        assert result[part].keys() == wanted
        assert list(result[part]) == list(CATEGORIES)
    assert parsed.model == "aegis-defensive"
    assert parsed.id.startswith("modr-")
    assert result.keys() == {"flagged", "aegis", "categories", "category_scores", "category_applied_input_types"}


def test_every_risk_is_told_in_a_category_or_is_said_to_have_none() -> None:
    told = {risk for terms in CATEGORIES.values() for term in terms for risk in term}
    assert told | set(UNMAPPED) == set(RISKS)
    assert not told & set(UNMAPPED)


@pytest.mark.parametrize(
    ("risks", "categories"),
    [
        ({"harassment": 0.7}, {"harassment": 0.7}),
        ({"threat": 0.6}, {"harassment/threatening": 0.6}),
        ({"hate": 0.9, "threat": 0.3}, {"hate": 0.9, "harassment/threatening": 0.3, "hate/threatening": 0.3}),
        ({"malware": 0.8, "fraud_deception": 0.2}, {"illicit": 0.8}),
        ({"guns_and_illegal_weapons": 0.5}, {"illicit/violent": 0.5}),
        (
            {"criminal_planning": 0.6, "violence": 0.4},
            {"illicit": 0.6, "violence": 0.4, "illicit/violent": 0.4},
        ),
        ({"suicide_and_self_harm": 0.9}, {"self-harm": 0.9}),
        ({"sexual": 0.4, "sexual_minor": 0.3}, {"sexual": 0.4, "sexual/minors": 0.3}),
        ({"pii_privacy": 0.9, "manipulation": 0.9}, {}),
        ({}, {}),
    ],
)
def test_risks_are_told_in_the_categories_that_mean_them(risks: dict[str, float], categories: dict[str, float]) -> None:
    _, result = answered(verdict("unsafe", 0.9, **risks))
    assert {name: score for name, score in result["category_scores"].items() if score} == categories


def test_a_category_is_there_from_one_half_on_and_only_where_the_input_is_flagged() -> None:
    parsed, _ = answered(verdict("unsafe", hate=0.5, violence=0.49))
    assert parsed.results[0].flagged
    assert (parsed.results[0].categories.hate, parsed.results[0].categories.violence) == (True, False)
    labels: tuple[LabelName, ...] = ("safe", "needs_caution")
    for label in labels:
        _, result = answered(verdict(label, 0.4, hate=0.9))
        assert not result["flagged"]
        assert not any(result["categories"].values())
        assert result["category_scores"]["hate"] == 0.9
        assert result["aegis"]["label"] == label


def test_what_the_experts_cannot_tell_is_said_to_be_of_no_input_type() -> None:
    parsed, result = answered(verdict(suicide_and_self_harm=0.9))
    applied = result["category_applied_input_types"]
    assert parsed.results[0].categories.self_harm
    assert {name for name, types in applied.items() if not types} == {
        "self-harm/instructions",
        "self-harm/intent",
        "violence/graphic",
    }


def test_with_nobody_awake_the_policy_decides_and_no_score_is_said_to_mean_anything() -> None:
    _, result = answered(verdict("unsafe", None))
    assert result["flagged"]
    assert result["aegis"]["score"] is None
    assert not any(result["category_applied_input_types"].values())


def test_a_verdict_at_once_says_that_nothing_was_recorded() -> None:
    _, recorded = answered(verdict())
    _, direct = answered(verdict(), "direct")
    assert (recorded["aegis"]["mode"], direct["aegis"]["mode"]) == ("topics", "direct")
    assert (recorded["aegis"]["source"], direct["aegis"]["source"]) == (
        {"topic": "aegis.turns.v1", "partition": 3, "offset": 7},
        None,
    )
    assert (recorded["aegis"]["ask_label"], direct["aegis"]["ask_label"]) == (True, False)
