"""What other people's label names mean here: the names of data sets, classifiers and moderation services as risks.

Each table says where its names come from. `none` is a name that says nothing moderation asks for; a name that could be
several risks, or none of ours, means `none` too in a data set, where a wrong risk would be learned. Names are spelt as
`experts.taxonomy.normalised` spells them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

UNSAFE, SAFE, NONE = "unsafe", "safe", "none"

# AEGIS 1.0 (arXiv 2404.05993, table 1; `nvidia/Aegis-AI-Content-Safety-Dataset-1.0`) and AEGIS 2.0 (arXiv 2501.09004,
# table 1; `nvidia/Aegis-AI-Content-Safety-Dataset-2.0`), whose spelling differs between paper, card and rows.
AEGIS: Final[Mapping[str, str]] = {
    "hate_identity_hate": "hate",
    "sexual": "sexual",
    "violence": "violence",
    "suicide_and_self_harm": "suicide_and_self_harm",
    "threat": "threat",
    "sexual_minor": "sexual_minor",
    "guns_and_illegal_weapons": "guns_and_illegal_weapons",
    "guns_illegal_weapons": "guns_and_illegal_weapons",
    "controlled_regulated_substances": "controlled_substances",
    "criminal_planning_confessions": "criminal_planning",
    "pii_privacy": "pii_privacy",
    "harassment": "harassment",
    "profanity": "profanity",
    "other": "other",
    "illegal_activity": "illegal_activity",
    "immoral_unethical": "immoral_unethical",
    "unauthorized_advice": "unauthorized_advice",
    "political_misinformation_conspiracy": "political_misinformation_conspiracy",
    "fraud_deception": "fraud_deception",
    "copyright_trademark_plagiarism": "copyright_trademark_plagiarism",
    "high_risk_gov_decision_making": "high_risk_government_decision_making",
    "high_risk_government_decision_making": "high_risk_government_decision_making",
    "malware": "malware",
    "manipulation": "manipulation",
}

# The hazards of MLCommons (AILuminate 1.0) as Llama Guard 3 numbers them, S1 to S14 (its model card; S14 is its own).
MLCOMMONS: Final[Mapping[str, str]] = {
    "violent_crimes": "violence",
    "non_violent_crimes": "criminal_planning",
    "sex_related_crimes": "sexual",
    "child_sexual_exploitation": "sexual_minor",
    "defamation": "harassment",
    "specialized_advice": "unauthorized_advice",
    "privacy": "pii_privacy",
    "intellectual_property": "copyright_trademark_plagiarism",
    "indiscriminate_weapons": "guns_and_illegal_weapons",
    "hate": "hate",
    "suicide_self_harm": "suicide_and_self_harm",
    "sexual_content": "sexual",
    "elections": "political_misinformation_conspiracy",
    "code_interpreter_abuse": "malware",
}
MLCOMMONS_CODES: Final = {f"s{number}": risk for number, risk in enumerate(MLCOMMONS.values(), 1)}

# The categories of OpenAI's moderation endpoint, omni-moderation-latest (its API reference, "Moderations").
OPENAI: Final[Mapping[str, str]] = {
    "harassment": "harassment",
    "harassment_threatening": "threat",
    "hate": "hate",
    "hate_threatening": "hate",
    "illicit": "criminal_planning",
    "illicit_violent": "criminal_planning",
    "self_harm": "suicide_and_self_harm",
    "self_harm_intent": "suicide_and_self_harm",
    "self_harm_instructions": "suicide_and_self_harm",
    "sexual": "sexual",
    "sexual_minors": "sexual_minor",
    "violence": "violence",
    "violence_graphic": "violence",
}

# The attributes of Perspective (developers.perspectiveapi.com, "Attributes & Languages"): production ones, then the
# experimental and New York Times ones, of which those about quality instead of harm mean none.
PERSPECTIVE: Final[Mapping[str, str]] = {
    "toxicity": UNSAFE,
    "severe_toxicity": UNSAFE,
    "identity_attack": "hate",
    "insult": "harassment",
    "profanity": "profanity",
    "threat": "threat",
    "sexually_explicit": "sexual",
    "attack_on_author": "harassment",
    "attack_on_commenter": "harassment",
    **dict.fromkeys(
        ("flirtation", "incoherent", "inflammatory", "likely_to_reject", "obscene", "spam", "unsubstantial"), NONE
    ),
    "obscene": "profanity",
}

# Jigsaw's challenges on Kaggle (toxic comments 2018, unintended bias 2019), which `toxic-bert` and
# `unbiased-toxic-roberta` (Detoxify) predict; the latter also says which groups a comment mentions.
JIGSAW: Final[Mapping[str, str]] = {
    "toxic": UNSAFE,
    "severe_toxic": UNSAFE,
    "obscene": "profanity",
    "threat": "threat",
    "insult": "harassment",
    "identity_hate": "hate",
    "identity_attack": "hate",
    "sexual_explicit": "sexual",
    **dict.fromkeys(
        (
            "male",
            "female",
            "homosexual_gay_or_lesbian",
            "christian",
            "jewish",
            "muslim",
            "black",
            "white",
            "psychiatric_or_mental_illness",
        ),
        NONE,
    ),
}

# Names that makers of two-class models use, seen on the hub's text-classification models for toxicity, hate, prompt
# injection and nudity.
PLAIN: Final[Mapping[str, str]] = {
    **dict.fromkeys(("unsafe", "harmful", "harm", "flagged", "abusive", "abuse", "offensive", "inappropriate"), UNSAFE),
    **dict.fromkeys(("toxic", "injection", "prompt_injection", "jailbreak", "malicious", "adversarial"), UNSAFE),
    **dict.fromkeys(
        ("safe", "benign", "harmless", "unharmful", "neutral", "normal", "ok", "clean", "acceptable"), SAFE
    ),
    **dict.fromkeys(("non_toxic", "nontoxic", "not_toxic", "not_offensive", "non_offensive", "not_hate", "sfw"), SAFE),
    **dict.fromkeys(("nothate", "non_hate", "not_unsafe", "appropriate", "legitimate", "not_sexist", "neither"), SAFE),
    **dict.fromkeys(("hateful", "hate_speech", "racist", "racism", "sexist", "sexism", "homophobic"), "hate"),
    **dict.fromkeys(("nsfw", "porn", "pornographic"), "sexual"),
    "offensive_language": "profanity",
    "bullying": "harassment",
    "violent": "violence",
    "threatening": "threat",
    "pii": "pii_privacy",
    "drugs": "controlled_substances",
    "weapons": "guns_and_illegal_weapons",
    "suicide": "suicide_and_self_harm",
}

# What a classifier's column may be called, later tables before earlier ones.
COLUMNS: Final[Mapping[str, str]] = {
    **PLAIN,
    **MLCOMMONS_CODES,
    **MLCOMMONS,
    **PERSPECTIVE,
    **JIGSAW,
    **OPENAI,
    **AEGIS,
}
