"""`aegis replay`: which verdicts would have been others, and what a candidate would have added."""

from __future__ import annotations

import json
import math
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from ensemble.policy import CLASSES, Policy
from experts.base import Passage
from experts.registry import ZOO, load_expert
from stream.__main__ import cli
from stream.replay.decisions import ChangedTurn
from stream.replay.results import Compared, Replay
from support.streams import BEGAN, label_line, lines, made_up

STRICT = {"strict": {"caution_at": 0.2, "unsafe_at": 0.4}}
"""The same forecasts as under `permissive`, other thresholds."""
COUNT = 60


def replay(*arguments: object, code: int = 0) -> Result:
    env = {"AEGIS_POLICIES": json.dumps(STRICT)}
    result = CliRunner(env=env).invoke(cli, ["replay", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def told(folder: Path, *arguments: object) -> Replay:
    out = folder / "found.json"
    replay(*arguments, "--json", out)
    return msgspec.json.decode(out.read_bytes(), type=Replay)


def text_of(number: int) -> str:
    """A third of the texts is what `lexical` finds unsafe."""
    return "I will kill you tonight" if number % 3 == 0 else f"The weather of day {number} was fine"


def turn_line(number: int, **more: Any) -> dict[str, Any]:
    fields = {"turn_id": f"t{number}", "conversation_id": f"c{number}", "role": "user", "text": text_of(number)}
    return {**fields, "tenant": "acme", "sent_at": (BEGAN + timedelta(minutes=number)).isoformat(), **more}


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Path]:
    """Verdicts that were published as `permissive` reads their scores, what people said, and the turns."""
    verdicts, _ = made_up(COUNT)
    for row in verdicts:
        row["label"] = CLASSES[Policy("p", (0.0, 0.0, 1.0)).decide(row["score"])]
    said = ["unsafe" if number % 3 == 0 else "safe" for number in range(0, COUNT, 2)]
    labels = [label_line(2 * place, says, BEGAN + timedelta(minutes=2 * place + 5)) for place, says in enumerate(said)]
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("verdicts", "labels", "turns")}
    for name, rows in (("verdicts", verdicts), ("labels", labels), ("turns", list(map(turn_line, range(COUNT))))):
        paths[name].write_bytes(lines(rows))
    return paths


def recounted(changed: list[ChangedTurn]) -> Counter[tuple[str | None, str]]:
    return Counter((one.published, one.replayed) for one in changed)


def test_every_changed_verdict_is_named_with_the_score_that_changed_it(tmp_path: Path, data: dict[str, Path]) -> None:
    file = tmp_path / "changed.jsonl"
    found = told(tmp_path, data["verdicts"], data["labels"], "--policy", "strict", "--changes", file)
    changed = [msgspec.json.decode(line, type=ChangedTurn) for line in file.read_bytes().splitlines()]
    ((one,),) = [run.compared for run in found.runs]
    assert (one.than, one.turns, one.changed) == ("published", COUNT, len(changed))
    assert 0 < len(changed) < COUNT
    policy = Policy("strict", (0.0, 0.0, 1.0), caution_at=0.2, unsafe_at=0.4)
    for turn in changed:
        assert turn.replayed == CLASSES[policy.decide(math.nan if turn.score is None else turn.score)]
        assert turn.published != turn.replayed
    assert {(pair.before, pair.after): pair.turns for pair in one.pairs} == recounted(changed)
    nearer = sum(_distance(turn.replayed, turn.people) < _distance(turn.published, turn.people) for turn in changed)
    farther = sum(_distance(turn.replayed, turn.people) > _distance(turn.published, turn.people) for turn in changed)
    assert (sum(pair.nearer for pair in one.pairs), sum(pair.farther for pair in one.pairs)) == (nearer, farther)
    assert sum(pair.labelled for pair in one.pairs) == sum(turn.people is not None for turn in changed)
    assert {row.label: row.turns for row in one.agreement} == {"safe": 20, "unsafe": 10}
    assert _moved(one) == _labelled_moves(changed)


def _distance(label: str | None, people: str | None) -> int:
    """0 where people said nothing: neither nearer nor farther."""
    return 0 if people is None or label is None else abs(CLASSES.index(label) - CLASSES.index(people))


def _moved(one: Compared) -> dict[str, dict[str, int]]:
    """By what people said, how many more turns each label has now than before."""
    return {row.label: {name: row.after[name] - row.before[name] for name in row.after} for row in one.agreement}


def _labelled_moves(changed: list[ChangedTurn]) -> dict[str, dict[str, int]]:
    moves: dict[str, dict[str, int]] = {label: dict.fromkeys(CLASSES, 0) for label in ("safe", "unsafe")}
    for turn in changed:
        if turn.people is not None and turn.published is not None:
            moves[turn.people][turn.replayed] += 1
            moves[turn.people][turn.published] -= 1
    return moves


def test_a_candidate_comes_to_what_it_would_have_come_to_had_it_been_there(
    tmp_path: Path, data: dict[str, Path]
) -> None:
    lexical = load_expert(ZOO / "lexical")
    scores = lexical.advise([Passage("user", text_of(number)) for number in range(COUNT)])
    name, _, version = lexical.id.rpartition("@")
    there = [json.loads(line) for line in data["verdicts"].read_bytes().splitlines()]
    for row, score in zip(there, np.asarray(scores, np.float64).tolist(), strict=True):
        row["experts"].append({"name": name, "version": version, "score": score, "status": "ok"})
    (tmp_path / "there.jsonl").write_bytes(lines(there))

    tried = told(tmp_path, data["verdicts"], data["labels"], "--candidate", ZOO / "lexical", "--turns", data["turns"])
    with_it, without = tried.runs
    assert with_it.phases == told(tmp_path, tmp_path / "there.jsonl", data["labels"]).runs[0].phases
    assert without.phases == told(tmp_path, data["verdicts"], data["labels"]).runs[0].phases
    assert tried.candidate is not None
    assert (tried.candidate.id, tried.candidate.scored, tried.candidate.untold) == (lexical.id, COUNT, 0)
    (effect,) = tried.candidate.effects
    assert (effect.loss_with, effect.loss_without) == (with_it.phases[0].loss, without.phases[0].loss)
    assert effect.loss_with < effect.loss_without  # it reads the texts, the others know nothing of these labels
    assert effect.weight > 1 / 3
    assert [one.than for one in with_it.compared] == ["published", "without"]


def test_a_turn_whose_text_is_gone_is_one_on_which_the_candidate_slept(tmp_path: Path, data: dict[str, Path]) -> None:
    kept = data["turns"].read_bytes().splitlines(keepends=True)[: COUNT // 2]
    data["turns"].write_bytes(b"".join(kept))
    found = told(tmp_path, data["verdicts"], data["labels"], "--candidate", "lexical", "--turns", data["turns"])
    assert found.candidate is not None
    assert (found.candidate.scored, found.candidate.untold) == (COUNT // 2, COUNT // 2)
    (own,) = (one for one in found.runs[0].phases[0].experts if one.expert == found.candidate.id)
    assert own.labelled == COUNT // 4


def test_the_tables_and_the_page_tell_both_without_any_text(tmp_path: Path, data: dict[str, Path]) -> None:
    page, changed = tmp_path / "page.html", tmp_path / "changed.jsonl"
    result = replay(
        *(data["verdicts"], data["labels"], "--candidate", "lexical", "--turns", data["turns"]),
        *("--out", page, "--changes", changed, "--forecaster", "mean", "--forecaster", "leader"),
    )
    for shown in (result.stdout, page.read_text()):
        assert "would have added" in shown
        assert "are decided otherwise than without the candidate" in " ".join(shown.split())
        assert "mean, with the candidate" in shown
    everything = result.output + page.read_text() + changed.read_text()
    assert "kill you" not in everything
    assert "weather" not in everything


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--turns", "turns"), 2, "--turns holds the texts for --candidate"),
        (("--candidate", "lexical"), 2, "name a file of the turns with --turns"),
        (("--candidate", "lexical", "--turns", "turns", "--as-published"), 2, "a candidate had no part"),
        (("--candidate", "nobody", "--turns", "turns"), 10, "there is no expert 'nobody'"),
        (("--candidate", "lexical", "--turns", "labels"), 1, "holds none of the turns of these verdicts"),
    ],
)
def test_what_cannot_be_tried_is_one_line(
    data: dict[str, Path], arguments: tuple[str, ...], code: int, says: str
) -> None:
    given = [str(data.get(argument, argument)) for argument in arguments]
    result = replay(data["verdicts"], data["labels"], *given, code=code)
    assert says in " ".join(result.stderr.split())


def test_a_candidate_that_voted_then_is_refused(data: dict[str, Path]) -> None:
    rows = [json.loads(line) for line in data["verdicts"].read_bytes().splitlines()]
    expert = load_expert(ZOO / "lexical").id.rpartition("@")
    rows[0]["experts"].append({"name": expert[0], "version": expert[2], "score": 0.5, "status": "ok"})
    data["verdicts"].write_bytes(lines(rows))
    result = replay(data["verdicts"], data["labels"], "--candidate", "lexical", "--turns", data["turns"], code=1)
    assert "voted on 1 of these turns already" in result.stderr
