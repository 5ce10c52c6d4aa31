from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stream.errors import SettingsError
from stream.settings import Settings, seconds


def refusal(**overrides: object) -> str:
    with pytest.raises(SettingsError) as refused:
        Settings.load(**overrides)
    line = str(refused.value)
    assert "\n" not in line
    return line


def test_without_any_variable_the_settings_are_the_documented_defaults() -> None:
    settings = Settings.load()
    assert (settings.broker, settings.app_id, settings.partitions, settings.store) == (
        "127.0.0.1:9092",
        "aegis",
        8,
        "rocksdict",
    )
    assert settings.label_horizon == 7 * 24 * 3600


def test_a_variable_sets_the_setting_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_LABEL_HORIZON", "36h")
    monkeypatch.setenv("AEGIS_TENANT_POLICIES", '{"acme": "defensive"}')
    monkeypatch.setenv("AEGIS_EXPERTS", "lexical, semantic")
    settings = Settings.load()
    assert settings.label_horizon == 36 * 3600
    assert settings.tenant_policies == {"acme": "defensive"}
    assert settings.experts == ("lexical", "semantic")


def test_a_policy_of_ones_own_is_like_another_but_for_the_fields_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"strict": {"like": "defensive", "costs": [1, 1, 5]}, "sampled": {"like": "strict", "ask": 0.1}}
    monkeypatch.setenv("AEGIS_POLICIES", json.dumps(own))
    monkeypatch.setenv("AEGIS_POLICY", "sampled")
    settings = Settings.load()
    policy = settings.defined_policies()[settings.policy]
    assert (policy.name, policy.targets, policy.costs, policy.ask) == ("sampled", (0, 1, 1), (1, 1, 5), 0.1)


def test_an_override_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_PARTITIONS", "3")
    assert Settings.load(partitions=5).partitions == 5


def test_lists_of_names_reach_a_child_process_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings.load(experts="lexical, risks", trusted_proxies="10.0.0.0/8,127.0.0.1", user_header="X-User")
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == given
    assert given.trusted_proxies == ("10.0.0.0/8", "127.0.0.1")


def test_a_misspelt_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_LABEL_HORIZN", "7d")
    assert refusal() == "AEGIS_LABEL_HORIZN is no setting; the nearest is AEGIS_LABEL_HORIZON: rename it, or unset it"


def test_variables_of_the_tests_and_of_others_are_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_TEST_ANYTHING", "1")
    monkeypatch.setenv("KAFKA_HEAP_OPTS", "1")
    assert Settings.load().app_id == "aegis"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AEGIS_PARTITIONS", "0", "AEGIS_PARTITIONS: Input should be greater than or equal to 1"),
        ("AEGIS_STORE", "disk", "AEGIS_STORE: Input should be 'rocksdict' or 'memory'"),
        ("AEGIS_LABEL_HORIZON", "a week", "AEGIS_LABEL_HORIZON: 'a week' is no duration: write 7d"),
        ("AEGIS_LABEL_HORIZON", "nan", "AEGIS_LABEL_HORIZON: 'nan' is no duration"),
        ("AEGIS_TENANT_POLICIES", "{acme", "AEGIS_TENANT_POLICIES is not valid JSON"),
        ("AEGIS_TENANT_POLICIES", '{"acme": "lax"}', "AEGIS_TENANT_POLICIES[acme]: there is no policy 'lax'"),
        ("AEGIS_POLICY", "lax", "AEGIS_POLICY: there is no policy 'lax': use one of permissive, defensive"),
        ("AEGIS_POLICIES", '{"own": {"like": "lax"}}', "AEGIS_POLICIES[own]: `like` names no policy: use one of"),
        (
            "AEGIS_POLICIES",
            '{"own": {"asks": 0.1}}',
            "AEGIS_POLICIES[own]: asks is no field: use annotators, ask, ask_unsure,",
        ),
        ("AEGIS_POLICIES", '{"own": {"ask": 0}}', "AEGIS_POLICIES[own]: policy 'own': ask must be 0.01 <= ask (0)"),
        ("AEGIS_POLICIES", '{"own": {"costs": ["dear"]}}', "AEGIS_POLICIES[own]: could not convert"),
        ("AEGIS_HEARTBEAT", "6s", "AEGIS_HEARTBEAT (6 s) is over half of AEGIS_SESSION_TIMEOUT (10 s)"),
        ("AEGIS_EXPERTS", " , ", "AEGIS_EXPERTS: "),
        ("AEGIS_CONVERSATIONS", "false", "AEGIS_CONVERSATIONS: Input should be 'on' or 'off'"),
        ("AEGIS_CONVERSATION_TOKENS", "63", "AEGIS_CONVERSATION_TOKENS: Input should be greater than or equal to 64"),
        ("AEGIS_APP_ID", "two words", "AEGIS_APP_ID: String should match pattern"),
    ],
)
def test_an_impossible_value_is_one_line_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    assert refusal().startswith(says)


def test_several_impossible_values_are_counted_in_the_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_PARTITIONS", "0")
    monkeypatch.setenv("AEGIS_STORE", "disk")
    assert refusal().endswith("(and 1 more)")


def test_an_override_that_is_no_setting_is_refused() -> None:
    assert "AEGIS_PARTITION:" in refusal(partition=3)


def test_settings_cannot_change_after_they_were_read() -> None:
    settings = Settings.load()
    with pytest.raises(ValidationError):
        settings.partitions = 9


def test_every_setting_says_its_unit_and_reason() -> None:
    silent = [name for name in Settings.model_fields if not Settings.model_fields[name].description]
    assert silent == []


@given(
    st.floats(min_value=0, max_value=1e6).map(lambda value: round(value, 3)),
    st.sampled_from(["ms", "s", "m", "h", "d"]),
)
def test_a_duration_is_its_number_times_its_unit(number: float, unit: str) -> None:
    factor = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert seconds(f"{number:.3f}{unit}") == pytest.approx(number * factor)
    assert seconds(f"{number:.3f}") == number
