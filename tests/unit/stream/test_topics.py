from __future__ import annotations

from dataclasses import replace

import pytest

from stream.settings import Settings
from stream.topics import TopicFound, TopicNames, TopicSpec, compare, compare_counts, contract, counts_of, fitted

SETTINGS = Settings(topic_prefix="t.", app_id="worker", partitions=4)
NAMES = TopicNames.of(SETTINGS)
SPECS = {spec.name: spec for spec in contract(SETTINGS)}


def as_asked(spec: TopicSpec) -> TopicFound:
    defaults = {"max.message.bytes": "1048588"}
    return TopicFound(
        spec.partitions, spec.replication, defaults | {key: want.value for key, want in spec.config.items()}
    )


def with_config(spec: TopicSpec, **changes: str) -> TopicFound:
    found = as_asked(spec)
    return replace(found, config={**found.config, **{key.replace("_", "."): value for key, value in changes.items()}})


def test_names_carry_the_prefix_and_the_changelog_the_name_that_faust_gives_it() -> None:
    assert list(SPECS) == [
        "worker-state-changelog",
        "t.moments.v1",
        "t.weights.v1",
        "t.experts.v1",
        "t.requests.v1",
        "t.dead-letters.v1",
        "t.verdicts.v1",
        "t.labels.v1",
        "t.turns.v1",
    ]


def test_the_changelog_is_made_and_grown_first_and_turns_last() -> None:
    order = [spec.name for spec in contract(SETTINGS)]
    assert (order[0], order[-1]) == (NAMES.changelog, NAMES.turns)


def test_all_but_weights_modes_and_requests_have_the_partitions_of_the_settings() -> None:
    others = {spec.name: spec.partitions for spec in SPECS.values() if spec.partitions != 4}
    assert others == {NAMES.weights: 1, NAMES.experts: 1, NAMES.requests: 1}


def test_the_changelog_is_compacted_and_never_deleted_by_time() -> None:
    config = SPECS[NAMES.changelog].config
    assert config["cleanup.policy"].value == "compact"
    assert int(config["min.compaction.lag.ms"].value) >= 600_000
    assert int(config["delete.retention.ms"].value) >= 86_400_000
    assert compare(SPECS[NAMES.changelog], with_config(SPECS[NAMES.changelog], cleanup_policy="compact,delete"))


@pytest.mark.parametrize("name", list(SPECS))
def test_a_topic_as_asked_for_has_no_mismatch(name: str) -> None:
    assert compare(SPECS[name], as_asked(SPECS[name])) == []


@pytest.mark.parametrize("name", list(SPECS))
def test_a_topic_that_is_not_there_is_one_mismatch_that_create_mends(name: str) -> None:
    (wrong,) = compare(SPECS[name], None)
    assert str(wrong) == f"topic {name} does not exist: run `aegis topics create`"
    assert wrong.mendable
    assert wrong.refused


def counts(*partitions: int) -> dict[str, int]:
    """Of the topics that grow together, in their order."""
    together = counts_of(contract(SETTINGS), dict.fromkeys(SPECS, 1))
    assert list(together)[:1] + list(together)[-1:] == [NAMES.changelog, NAMES.turns]
    return dict(zip(together, partitions, strict=True))


@pytest.mark.parametrize("asked", [4, 6])
def test_what_the_broker_has_is_right_whatever_the_setting_asks_for(asked: int) -> None:
    assert compare_counts(counts(6, 6, 6, 6, 6, 6), asked) == []
    assert compare_counts({}, asked) == []


def test_a_setting_that_asks_for_more_is_told_how_to_get_it_and_refused_by_nobody() -> None:
    (few,) = compare_counts(counts(6, 6, 6, 6, 6, 6), 9)
    assert not few.refused
    remedy = "run `aegis topics grow --partitions 9`, which adds them to every topic"
    assert str(few) == f"topic {NAMES.turns} has partitions=6, AEGIS_PARTITIONS asks for 9: {remedy}"


def test_a_growth_that_is_under_way_stops_no_worker() -> None:
    behind = compare_counts(counts(9, 6, 6, 4, 4, 4), 4)
    assert [wrong.topic for wrong in behind] == list(counts(9, 6, 6, 4, 4, 4))[1:]
    assert not any(wrong.refused or wrong.mendable for wrong in behind)
    assert all("--partitions 9`, which goes on with a growth" in str(wrong) for wrong in behind)


def test_turns_that_were_raised_alone_are_refused_with_the_command_that_raises_the_others() -> None:
    behind = compare_counts(counts(4, 4, 4, 4, 4, 6), 4)
    assert len(behind) == 5
    assert all(wrong.refused for wrong in behind)
    assert str(behind[0]) == (
        f"topic {NAMES.changelog} has partitions=4 and needs 6: run `aegis topics grow --partitions 6`, which adds them"
    )


def test_surplus_partitions_of_weights_harm_nobody() -> None:
    spec = SPECS[NAMES.weights]
    assert compare(spec, replace(as_asked(spec), partitions=3)) == []


def test_missing_copies_are_reported_and_not_refused() -> None:
    spec = replace(SPECS[NAMES.turns], replication=3)
    (wrong,) = compare(spec, as_asked(SPECS[NAMES.turns]))
    assert not wrong.refused
    assert not wrong.mendable
    assert compare(SPECS[NAMES.turns], as_asked(spec)) == []


@pytest.mark.parametrize(
    ("key", "harmful", "harmless"),
    [
        ("min_compaction_lag_ms", "599999", "3600000"),
        ("delete_retention_ms", "86399999", "604800000"),
        ("max_compaction_lag_ms", "9223372036854775807", "3600000"),
    ],
)
def test_a_stricter_changelog_is_kept_and_a_laxer_one_is_a_mismatch(key: str, harmful: str, harmless: str) -> None:
    spec = SPECS[NAMES.changelog]
    (wrong,) = compare(spec, with_config(spec, **{key: harmful}))
    assert key.replace("_", ".") in str(wrong)
    assert compare(spec, with_config(spec, **{key: harmless})) == []


def test_an_operator_chooses_how_long_turns_labels_and_verdicts_are_kept() -> None:
    for name in (NAMES.turns, NAMES.labels, NAMES.verdicts):
        assert compare(SPECS[name], with_config(SPECS[name], retention_ms="1")) == []


def test_turns_that_are_compacted_are_refused_since_a_conversation_would_lose_its_other_turns() -> None:
    (wrong,) = compare(SPECS[NAMES.turns], with_config(SPECS[NAMES.turns], cleanup_policy="compact"))
    assert "drops its other turns" in str(wrong)


def test_dead_letters_take_twice_the_largest_record_of_their_sources() -> None:
    found = {NAMES.turns: with_config(SPECS[NAMES.turns], max_message_bytes="5000000")}
    specs = {spec.name: spec for spec in fitted(contract(SETTINGS), NAMES, found)}
    assert specs[NAMES.dead_letters].config["max.message.bytes"].value == "10000000"
    assert fitted(contract(SETTINGS), NAMES, {}) == contract(SETTINGS)


def test_dead_letters_are_kept_thirty_days() -> None:
    assert SPECS[NAMES.dead_letters].config["retention.ms"].value == str(30 * 24 * 3600 * 1000)
