"""Our 22 risks as OpenAI's 13 categories, as far as they mean the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import astuple

from stream.gateway.shapes import Categories, CategoryAppliedInputTypes, CategoryScores

Terms = tuple[tuple[str, ...], ...]
"""The highest over its terms, of the lowest within a term: `(("a",), ("b", "c"))` is a, or b and c together."""

CATEGORIES: dict[str, Terms] = {
    "harassment": (("harassment",),),
    "harassment/threatening": (("threat",),),
    "hate": (("hate",),),
    "hate/threatening": (("hate", "threat"),),
    "illicit": (
        ("criminal_planning",),
        ("illegal_activity",),
        ("controlled_substances",),
        ("fraud_deception",),
        ("malware",),
    ),
    "illicit/violent": (("guns_and_illegal_weapons",), ("criminal_planning", "violence")),
    "self-harm": (("suicide_and_self_harm",),),
    "self-harm/instructions": (),
    "self-harm/intent": (),
    "sexual": (("sexual",),),
    "sexual/minors": (("sexual_minor",),),
    "violence": (("violence",),),
    "violence/graphic": (),
}
"""Without terms: our risks do not tell this category from the one that it is a part of."""
UNMAPPED = (
    *("pii_privacy", "profanity", "other", "immoral_unethical", "unauthorized_advice"),
    *("political_misinformation_conspiracy", "copyright_trademark_plagiarism"),
    *("high_risk_government_decision_making", "manipulation"),
)
"""Risks that no category of OpenAI's means: an input may be flagged for one of them, and only `aegis` names it."""
TRUE_FROM = 0.5
"""A category is said to be there from this score on: a risk that is likelier than not."""


def scores(risks: Mapping[str, float]) -> CategoryScores:
    """Each category's score, from the risks that a verdict names: 0 for what it does not name."""
    return CategoryScores(*(_score(terms, risks) for terms in CATEGORIES.values()))


def flags(scored: CategoryScores, flagged: bool) -> Categories:
    """Which categories are there: none in an input that is not flagged, so that the two never contradict each other."""
    return Categories(*(flagged and score >= TRUE_FROM for score in astuple(scored)))


def _score(terms: Terms, risks: Mapping[str, float]) -> float:
    return max((min(risks.get(risk, 0.0) for risk in term) for term in terms), default=0.0)


TOLD = CategoryAppliedInputTypes(*(("text",) if terms else () for terms in CATEGORIES.values()))
"""The input types that each category's score speaks of."""
NOT_TOLD = CategoryAppliedInputTypes(*(() for _ in CATEGORIES))
"""The same where no expert was awake."""
