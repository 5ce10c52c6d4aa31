"""The risks that an expert can tell apart: the content-safety taxonomy of AEGIS, with the fine-grained risks of 2.0.

Sources: Ghosh et al., "AEGIS: Online Adaptive AI Content Safety Moderation with Ensemble of LLM Experts", 2024
(arXiv 2404.05993), table 1; Ghosh et al., "Aegis2.0: A Diverse AI Safety Dataset and Risks Taxonomy for Alignment of
LLM Guardrails", 2025 (arXiv 2501.09004), table 1.
"""

from __future__ import annotations

import re
from typing import Final

from experts.data_sets import CAUTION, SETS
from experts.label_sets import COLUMNS, NONE

# The order is the order of every array of risks; the names are those on the wire.
CRITICAL: Final = (
    "hate",
    "sexual",
    "violence",
    "suicide_and_self_harm",
    "threat",
    "sexual_minor",
    "guns_and_illegal_weapons",
    "controlled_substances",
    "criminal_planning",
    "pii_privacy",
    "harassment",
    "profanity",
    "other",
)
FINE_GRAINED: Final = (
    "illegal_activity",
    "immoral_unethical",
    "unauthorized_advice",
    "political_misinformation_conspiracy",
    "fraud_deception",
    "copyright_trademark_plagiarism",
    "high_risk_government_decision_making",
    "malware",
    "manipulation",
)
NEEDS_CAUTION: Final = CAUTION
RISKS: Final = CRITICAL + FINE_GRAINED
INDEX: Final = {risk: index for index, risk in enumerate(RISKS)}


def normalised(name: str) -> str:
    """A label's name in lower case, with one underscore for all that is neither letter nor digit."""
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")


def meaning(name: str) -> str | None:
    """What the column of a classifier means, by its name: `unsafe`, `safe`, `none` or a risk; None if it is not known.

    Needs Caution is not known: whether it is safe is the reading of whoever adds the expert.
    """
    plain = normalised(name)
    # "S1: Violent Crimes" and the "O1: Violence and Hate" of other policies: the words count, not the number.
    words = re.sub(r"^[so]\d+_(?=.)", "", plain)
    return words if words in INDEX else COLUMNS.get(words)


def from_set(name: str, category: str) -> str | None:
    """The risk that a category of a labelled set names, or `NEEDS_CAUTION`; None where it names none, or not just one.

    KeyError, in words, if the set, or the category in it, is not in `experts.data_sets`.
    """
    if name not in SETS:
        raise KeyError(f"the set {name!r} has no table in experts/data_sets.py: write one")
    means = SETS[name].get(normalised(category))
    if means is None:
        raise KeyError(f"the category {category!r} of {name} is not in experts/data_sets.py: add it, if only as none")
    return None if means == NONE else means
