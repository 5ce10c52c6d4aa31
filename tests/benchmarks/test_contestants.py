"""Every contestant does all of the work: else its rate would say nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.plan import Sizes
from benchmarks.race import CONTESTANTS, Contestant, Race, chosen
from benchmarks.run import Arena
from benchmarks.turns import turns
from stream.codecs import decode_turn
from stream.records import Turn

TURNS = 10_000  # one checkpoint of quixstreams
ALONE = [contestant for contestant in CONTESTANTS if not contestant.processes]
SIZES = Sizes(changelog_key=34, changelog_value=187, verdict=701)


@pytest.fixture(scope="module")
def arena(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    arena = Arena(broker, tmp_path_factory.mktemp("bench"))
    arena.sizes = SIZES
    yield arena
    arena.close()


@pytest.fixture(scope="module")
def races(arena: Arena) -> dict[int, Race]:
    return {share: arena.race(f"test-{share}", TURNS // share) for share in {one.share for one in ALONE}}


@pytest.mark.slow
@pytest.mark.parametrize("contestant", ALONE, ids=lambda contestant: str(contestant.key))
def test_a_contestant_writes_both_records_of_every_turn_and_commits_it(
    contestant: Contestant, races: dict[int, Race]
) -> None:
    run, sizes = races[contestant.share].run(contestant, 0)  # raises RaceError otherwise
    assert run.turns == TURNS // contestant.share
    written = sizes.changelog_key + sizes.changelog_value + sizes.verdict
    assert written == pytest.approx(SIZES.changelog_key + SIZES.changelog_value + SIZES.verdict, rel=0.03)


@pytest.mark.slow
def test_two_workers_of_one_group_judge_every_turn(arena: Arena) -> None:
    (pair,) = chosen(["fleet-2"])
    run = arena.fleet(TURNS).run(pair, 0)  # raises RaceError otherwise
    assert 0 < run.turns <= TURNS
    assert run.bytes_written == pytest.approx(SIZES.changelog_key + SIZES.changelog_value + SIZES.verdict, rel=0.03)


def test_turns_are_the_contracts_and_their_ids_never_repeat() -> None:
    made = [decode_turn(value, 65_536) for _, value in turns(2_000)]
    assert all(isinstance(turn, Turn) for turn in made)
    assert max(Counter(turn.turn_id for turn in made if isinstance(turn, Turn)).values()) == 1


def test_turns_are_keyed_by_their_conversation() -> None:
    assert all(json.loads(value)["conversation_id"].encode() == key for key, value in turns(500))


def test_turns_stop_at_their_count_however_long_the_source_is(tmp_path: Path) -> None:
    source = tmp_path / "one.jsonl"
    turn = {"role": "user", "text": "hello"}
    source.write_text(json.dumps({"conversation_id": "c", "tenant": "default", "turns": [turn, turn]}) + "\n")
    assert len(list(turns(7, source))) == 7
