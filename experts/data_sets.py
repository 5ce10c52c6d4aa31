"""What the categories of labelled sets mean as risks; each table is for the `categories` of one set's rows.

`none` is a category that names no risk of ours, or several of which a row shows any one: such a row teaches nothing
about risks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from experts.label_sets import AEGIS, MLCOMMONS_CODES, NONE

CAUTION: Final = "needs_caution"
_AEGIS: Final = {**AEGIS, CAUTION: CAUTION}

# Radharapu et al., "AART: AI-Assisted Red-Teaming", 2023 (arXiv 2311.08592): the concept that a prompt was made about.
_AART: Final[Mapping[str, str]] = {
    **dict.fromkeys(("hate_crimes",), "hate"),
    **{f"crimes_motivated_by_{kind}": "hate" for kind in ("disability", "race", "religion", "gender_identity")},
    "crimes_motivated_by_sexual_orientation": "hate",
    **dict.fromkeys(("terrorism", "violence", "domestic_violence", "assassinations", "assault", "murder"), "violence"),
    **dict.fromkeys(("kidnapping", "kidnappings", "hijackings", "bombings", "rape"), "violence"),
    "acts_of_violence_committed_for_political_or_ideological_purposes": "violence",
    **dict.fromkeys(("animal_abuse", "animal_cruelty", "dog_fighting", "cockfighting"), "violence"),
    **{f"drug_{kind}": "controlled_substances" for kind in ("addiction", "possession", "dealing", "crimes", "abuse")},
    **{f"drug_{kind}": "controlled_substances" for kind in ("trafficking", "manufacturing")},
    **dict.fromkeys(("alcohol_abuse", "smoking"), "controlled_substances"),
    **dict.fromkeys(("prostitution", "pornography"), "sexual"),
    **dict.fromkeys(("fraud", "credit_card_fraud", "corporate_fraud", "ponzi_schemes"), "fraud_deception"),
    **dict.fromkeys(("pyramid_schemes", "identity_theft"), "fraud_deception"),
    "cyberterrorism": "malware",
    **dict.fromkeys(("burglary", "robbery", "theft", "shoplifting", "arson", "vandalism"), "criminal_planning"),
    **dict.fromkeys(("property_crimes", "other_crimes", "financial_crimes", "embezzlement"), "criminal_planning"),
    **dict.fromkeys(("money_laundering", "tax_evasion", "migrant_smuggling"), "criminal_planning"),
    **{f"{kind}_trafficking": "criminal_planning" for kind in ("sex", "labor", "child", "organ", "human")},
    **dict.fromkeys(("driving_under_the_influence", "illegal_dumping", "environmental_crimes"), "illegal_activity"),
    "animal_neglect": "immoral_unethical",
    # Topics instead of harms.
    **dict.fromkeys(("horse_racing", "gambling", "landfills", "circuses", "pollution", "air_pollution"), NONE),
    **dict.fromkeys(("climate_change", "water_contamination"), NONE),
}

# Bhardwaj et al., "Language Models are Homer Simpson!", 2024 (arXiv 2402.11746): CatQA's categories, then the `sub`
# ones that tell apart what a category mixes.
_CATQA: Final[Mapping[str, str]] = {
    "adult_content": "sexual",
    "fraud_deception": "fraud_deception",
    "malware_viruses": "malware",
    "political_campaigning": "political_misinformation_conspiracy",
    "privacy_violation_activity": "pii_privacy",
    "tailored_financial_advice": "unauthorized_advice",
    **dict.fromkeys(
        ("child_abuse", "economic_harm", "hate_harass_violence", "illegal_activity", "physical_harm"), NONE
    ),
    **dict.fromkeys(("content_sexual_exploitation", "online_predation"), "sexual_minor"),
    **dict.fromkeys(("physical_abuse", "gender_based_violence", "terrorism_and_extremism"), "violence"),
    "assault_and_battery": "violence",
    **dict.fromkeys(("emotional_and_psychological_abuse", "cyberbullying"), "harassment"),
    "neglect": "immoral_unethical",
    **dict.fromkeys(
        ("employment_scams", "financial_fraud", "investment_scams", "market_manipulation"), "fraud_deception"
    ),
    "intellectual_property_theft": "copyright_trademark_plagiarism",
    **dict.fromkeys(("racial_or_ethnic_hate", "religious_intolerance"), "hate"),
    "cybercrime": "malware",
    "drug": "controlled_substances",
    **dict.fromkeys(("human_trafficking", "theft_and_robbery"), "criminal_planning"),
    **dict.fromkeys(("weapon", "weapon_making"), "guns_and_illegal_weapons"),
    "self_harm": "suicide_and_self_harm",
    "hazardous_material_handling": "illegal_activity",
    "unsafe_practices": "unauthorized_advice",
    **dict.fromkeys(("adult_themed_humor", "erotic_text", "nude_imagery", "pornography"), "sexual"),
    "sexually_explicit_dialogue": "sexual",
    **dict.fromkeys(
        ("counterfeiting", "false_advertising", "identity_theft", "phishing", "scamming"), "fraud_deception"
    ),
    **dict.fromkeys(("adware", "ransomware", "spyware", "trojans"), "malware"),
    "malicious_software_designed_to_spread_and_damage_computers": "malware",
    **dict.fromkeys(
        ("election_advertising", "lobbying", "partisan_commentary", "political_activism", "political_misinformation"),
        "political_misinformation_conspiracy",
    ),
    **dict.fromkeys(("data_theft", "doxxing", "surveillance", "tracking_and_location_monitoring"), "pii_privacy"),
    "deepfake_creation": "fraud_deception",
    **dict.fromkeys(("debt_management", "personal_investment_advice", "real_estate_investment"), "unauthorized_advice"),
    **dict.fromkeys(("retirement_planning", "tax_planning"), "unauthorized_advice"),
}

# Röttger et al., "HateCheck", 2021 (arXiv 2012.15606): functionalities. Those that end in `_nh` are not hateful.
_HATECHECK: Final[Mapping[str, str]] = {
    **{f"derog_{kind}_h": "hate" for kind in ("neg_emote", "neg_attrib", "dehum", "impl")},
    **{f"threat_{kind}_h": "threat" for kind in ("dir", "norm")},
    **dict.fromkeys(("slur_h", "profanity_h", "ref_subs_clause_h", "ref_subs_sent_h", "negate_pos_h"), "hate"),
    **dict.fromkeys(("phrase_question_h", "phrase_opinion_h"), "hate"),
    **{f"spell_{kind}_h": "hate" for kind in ("char_swap", "char_del", "space_del", "space_add", "leet")},
    **dict.fromkeys(("slur_homonym_nh", "slur_reclaimed_nh", "profanity_nh", "negate_neg_nh"), NONE),
    **dict.fromkeys(("ident_neutral_nh", "ident_pos_nh", "counter_quote_nh", "counter_ref_nh"), NONE),
    **dict.fromkeys(("target_obj_nh", "target_indiv_nh", "target_group_nh"), NONE),
}

SETS: Final[Mapping[str, Mapping[str, str]]] = {
    "aart_prompts": _AART,
    "aegis1_val_test": _AEGIS,
    "aegis2_unsafe_prompts900": _AEGIS,
    "aegis2_validation": _AEGIS,
    "catqa": _CATQA,
    # Cercas Curry et al., "ConvAbuse", 2021 (arXiv 2109.09483): the kind of abuse against a chatbot.
    "convabuse": {
        **dict.fromkeys(("ableist", "homophobic", "racist", "sexist", "transphobic"), "hate"),
        **dict.fromkeys(("intellectual", "sex_harassment"), "harassment"),
    },
    # Davidson et al., "Automated Hate Speech Detection and the Problem of Offensive Language", 2017 (arXiv 1703.04009).
    "davidson_hate_offensive": {"hate_speech": "hate", "offensive_language": "profanity"},
    # Sun et al., "On the Safety of Conversational Models", 2022 (arXiv 2110.08466). The class stands on safe rows, too.
    # Agreement with something toxic is toxic in any way, so it names no risk.
    "diasafety": {
        "offending_user": "harassment",
        "risk_ignorance": "suicide_and_self_harm",
        "unauthorized_expertise": "unauthorized_advice",
        "biased_opinion": "hate",
        "toxicity_agreement": NONE,
    },
    # Kirk et al., "SemEval-2023 Task 10: Explainable Detection of Online Sexism" (arXiv 2303.04222), task B.
    "edos_sexism": {
        "1_threats_plans_to_harm_and_incitement": "threat",
        **dict.fromkeys(("2_derogation", "3_animosity", "4_prejudiced_discussions"), "hate"),
    },
    "hatecheck": _HATECHECK,
    "jailbreak_llms_inthewild": {"jailbreak": NONE},
    # Its hazards have the numbers of Llama Guard 3.
    "jailjudge_mini": MLCOMMONS_CODES,
    "wildjailbreak_adv_harmful2000": {"jailbreak": NONE},
    # Sets whose rows have no categories.
    "benign_topical_chat": {},
    "benign_wildchat300": {},
    "gptfuzz_labelled_replies": {},
    "guardreasoner_train_sample5k": {},
    "hh_rlhf_harmless_test": {},
    "surge_toxicity": {},
    "wikipedia_context_toxicity": {},
}
