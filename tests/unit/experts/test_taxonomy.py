import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from experts.data_sets import SETS
from experts.label_sets import AEGIS, COLUMNS, JIGSAW, MLCOMMONS, MLCOMMONS_CODES, OPENAI, PERSPECTIVE, PLAIN
from experts.taxonomy import CRITICAL, FINE_GRAINED, NEEDS_CAUTION, RISKS, from_set, meaning, normalised

DATASETS = Path(__file__).resolve().parents[4] / "shared" / "datasets"
MEANINGS = {"unsafe", "safe", "none", *RISKS}


def test_there_are_thirteen_critical_and_nine_fine_grained_risks() -> None:
    assert (len(CRITICAL), len(FINE_GRAINED), len(set(RISKS))) == (13, 9, 22)


@pytest.mark.parametrize("table", [AEGIS, MLCOMMONS, MLCOMMONS_CODES, OPENAI, PERSPECTIVE, JIGSAW, PLAIN])
def test_a_table_of_names_maps_normal_spellings_to_meanings(table: dict[str, str]) -> None:
    assert set(table.values()) <= MEANINGS
    assert [name for name in table if normalised(name) != name] == []


@pytest.mark.parametrize("name", SETS)
def test_a_table_of_a_set_maps_normal_spellings_to_risks(name: str) -> None:
    assert set(SETS[name].values()) <= {"none", NEEDS_CAUTION, *RISKS}
    assert [category for category in SETS[name] if normalised(category) != category] == []


def test_every_risk_of_aegis_is_named_by_its_own_table() -> None:
    assert set(AEGIS.values()) == set(RISKS)


@pytest.mark.parametrize("one", [AEGIS, MLCOMMONS, OPENAI, PERSPECTIVE, JIGSAW, PLAIN])
def test_no_two_sources_use_one_name_for_different_things(one: dict[str, str]) -> None:
    assert {name: COLUMNS[name] for name in one} == one


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Hate/Identity Hate", "hate"),
        ("Sexual (minor)", "sexual_minor"),
        ("High Risk Gov Decision Making", "high_risk_government_decision_making"),
        ("controlled_substances", "controlled_substances"),
        ("S14", "malware"),
        ("S1: Violent Crimes", "violence"),
        ("Suicide & Self-Harm", "suicide_and_self_harm"),
        ("self-harm/instructions", "suicide_and_self_harm"),
        ("SEVERE_TOXICITY", "unsafe"),
        ("identity_hate", "hate"),
        ("homosexual_gay_or_lesbian", "none"),
        ("Non-Toxic", "safe"),
        ("INJECTION", "unsafe"),
    ],
)
def test_a_name_is_understood_however_it_is_spelt(name: str, expected: str) -> None:
    assert meaning(name) == expected


@pytest.mark.parametrize("name", ["LABEL_0", "", "S15", "s", "Needs Caution", "tox"])
def test_a_name_that_says_nothing_is_not_guessed(name: str) -> None:
    assert meaning(name) is None


@pytest.mark.parametrize(
    ("name", "category", "expected"),
    [
        ("aegis2_validation", "Needs Caution", NEEDS_CAUTION),
        ("jailjudge_mini", "S5", "harassment"),
        ("catqa", "Hate/Harass/Violence", None),
        ("catqa", "Drug:", "controlled_substances"),
        ("edos_sexism", "1. threats, plans to harm and incitement", "threat"),
    ],
)
def test_the_category_of_a_set_is_a_risk_or_nothing(name: str, category: str, expected: str | None) -> None:
    assert from_set(name, category) == expected


@pytest.mark.parametrize(("name", "category"), [("nowhere", "Sexual"), ("convabuse", "rude")])
def test_a_set_or_category_without_a_mapping_is_refused_by_name(name: str, category: str) -> None:
    with pytest.raises(KeyError, match=rf"{name if name == 'nowhere' else category}.*experts/data_sets.py"):
        from_set(name, category)


def categories(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield from row["categories"]
            if "sub" in (row.get("meta") or {}):
                yield row["meta"]["sub"]


@pytest.mark.data
def test_every_category_of_the_data_has_a_mapping() -> None:
    files = sorted(DATASETS.glob("*/*/data.jsonl.gz"))
    unknown = {
        (path.parent.name, name)
        for path in files
        for name in set(categories(path))
        if normalised(name) not in SETS[path.parent.name]
    }
    assert files
    assert unknown == set()
