"""A verdict explained, beside a real worker: what is said of it adds up, today's weights are the worker's, and what
today's ensemble is said to decide is what the worker decides of the same advice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from click.testing import CliRunner, Result

from stream.__main__ import cli
from stream.errors import DataError, SettingsError
from stream.explain.explaining import Wanted, explain
from stream.explain.results import Explanation
from stream.records import LabelName, Source, Verdict, Weights
from support.fake_worker import CHOSEN
from support.flow import Flow, flowing, label, turn, unique
from support.worker_process import environment

SCORES = (0.125, 0.25, 0.875)
ROUNDS = 12
SECRET = "words that nobody but --text may show"


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """Three experts that say the same of everything: from the mildest to the most severe."""
    experts = {CHOSEN: ",".join(map(str, SCORES))}
    defined = {"strict": {"like": "defensive", "caution_at": 0.1, "unsafe_at": 0.3}}
    with flowing(broker, tmp_path_factory.mktemp("explain"), environ=experts, policies=defined) as flow:
        yield flow


async def judged(flow: Flow, tenant: str, **fields: object) -> Verdict:
    """The verdict of a new turn of this tenant."""
    name = unique(tenant)
    await flow.turns(turn(name, tenant=tenant, **fields))  # type: ignore[arg-type]
    (verdict,) = await flow.verdicts(name)
    return verdict


async def taught(flow: Flow, tenant: str, says: LabelName) -> tuple[list[Verdict], Weights]:
    """Turns of a tenant that people all found so, and the weights after that."""
    names = [unique(tenant) for _ in range(ROUNDS)]
    await flow.turns(*(turn(name, tenant=tenant) for name in names))
    verdicts = await flow.verdicts(*names)
    people = ["ann", "bob"]
    await flow.labels(*(label(name, says, people[i % 2], tenant=tenant) for i, name in enumerate(names)))
    return verdicts, await flow.weights(f"{tenant}/user", lambda weights: weights.rounds == ROUNDS)


def invoke(flow: Flow, *arguments: str) -> Result:
    return CliRunner(env=environment(flow.settings)).invoke(cli, ["explain", *arguments])


async def test_the_score_is_what_weights_and_advice_give_and_every_expert_carried_its_part(flow: Flow) -> None:
    verdict = await judged(flow, "adding", text=SECRET)
    told = await explain(flow.settings, verdict.turn_id)
    again = told.recomputed
    assert verdict.score is not None
    assert again.score is not None
    assert again.agrees
    assert abs(again.score - verdict.score) <= (again.tolerance or 0.0) < 1e-7
    assert sum(one.contribution or 0.0 for one in told.experts) == pytest.approx(again.score, abs=1e-12)
    assert [one.score for one in told.experts] == sorted(
        SCORES, reverse=True
    )  # equal weights: the highest carried most
    assert (told.label, told.score, told.rounds) == (verdict.label, verdict.score, verdict.rounds)
    assert told.experts[0].name in told.why
    assert told.labels == ()
    assert told.text is None


async def test_nothing_learned_since_today_decides_to_1e_9_as_then(flow: Flow) -> None:
    await taught(flow, "still", "unsafe")
    verdict = await judged(flow, "still")
    told = await explain(flow.settings, verdict.turn_id)
    assert told.now.rounds == verdict.rounds == ROUNDS
    assert told.now.score == pytest.approx(verdict.score, abs=1e-9)
    assert not told.now.changes
    assert told.taught is not None
    assert (told.taught.turns, told.taught.rounds) == (0, 0)


async def test_after_labels_todays_weights_are_the_workers_and_so_is_what_is_decided(flow: Flow) -> None:
    (first, *_), weights = await taught(flow, "moving", "safe")
    told = await explain(flow.settings, first.turn_id, Wanted(newest=3))
    by_id = {f"{one.name}@{one.version}": one.weight_now for one in told.experts}
    assert by_id == pytest.approx({one.id: one.weight for one in weights.experts}, abs=1e-12)
    assert told.label != "safe"
    assert (told.now.label, told.now.changes) == ("safe", True)
    after = await judged(flow, "moving")
    assert after.label == told.now.label
    assert told.now.score == pytest.approx(after.score, abs=1e-12)
    found = told.taught
    assert found is not None
    assert (found.turns, found.rounds) == (ROUNDS, ROUNDS)
    assert found.by_class == {"safe": ROUNDS}
    assert found.by_annotator == {"ann": ROUNDS // 2, "bob": ROUNDS // 2}
    assert found.by_votes == {1: ROUNDS}
    assert len(found.newest) == 3
    for lesson in found.newest:  # each made the mild expert weigh more, and weights sum to 1 with and without it
        assert lesson.moved["expert0@1"] > 0.0 > lesson.moved["expert2@1"]
        assert sum(lesson.moved.values()) == pytest.approx(0.0, abs=1e-12)


async def test_what_a_label_moved_is_the_weights_before_it_and_after_it(flow: Flow) -> None:
    first = await judged(flow, "single")
    await flow.labels(label(first.turn_id, "unsafe", tenant="single"))
    before = await flow.weights("single/user", lambda weights: weights.rounds == 1)
    second = await judged(flow, "single")
    await flow.labels(label(second.turn_id, "safe", tenant="single"))
    after = await flow.weights("single/user", lambda weights: weights.rounds == 2)
    told = await explain(flow.settings, first.turn_id)
    assert told.taught is not None
    (newest, _) = told.taught.newest
    assert newest.turn_id == second.turn_id
    moved = {new.id: new.weight - old.weight for old, new in zip(before.experts, after.experts, strict=True)}
    # Not closer: without the second label the first is remembered as of now, seconds older under the half-lives.
    assert newest.moved == pytest.approx(moved, rel=1e-2)


async def test_the_labels_of_the_turn_are_told_with_which_of_them_count(flow: Flow) -> None:
    verdict = await judged(flow, "votes")
    now = datetime.now(UTC)
    said = [
        label(verdict.turn_id, "safe", "ann", tenant="votes", labelled_at=now - timedelta(minutes=2)),
        label(verdict.turn_id, "unsafe", "ann", tenant="votes", labelled_at=now - timedelta(minutes=1)),
        label(verdict.turn_id, "unsafe", "bob", tenant="votes", labelled_at=now - timedelta(minutes=1)),
    ]
    await flow.labels(*said)
    await flow.pending_of(verdict, lambda pending: len(pending.votes) == 2 and bool(pending.beside))
    told = await explain(flow.settings, verdict.turn_id)
    assert [(one.annotator, one.label, one.counts) for one in told.labels] == [
        ("ann", "safe", False),
        ("ann", "unsafe", True),
        ("bob", "unsafe", True),
    ]
    quick = await explain(flow.settings, verdict.turn_id, Wanted(labels=False))
    assert quick.taught is None
    assert [one.counts for one in quick.labels] == [None, None, None]


async def test_another_policy_reads_the_same_labels_and_the_same_score_otherwise(flow: Flow) -> None:
    await taught(flow, "reading", "needs_caution")
    verdict = await judged(flow, "reading")
    told = await explain(flow.settings, verdict.turn_id, Wanted(policy="strict"))
    assert told.otherwise is not None
    assert (told.label, told.now.label, told.otherwise.label) == ("safe", "safe", "unsafe")
    assert (told.now.changes, told.otherwise.changes) == (False, True)
    assert (told.otherwise.policy, told.otherwise.unsafe.score) == ("strict", 0.3)
    with pytest.raises(SettingsError, match="there is no policy 'harsh': use one of permissive, defensive, strict"):
        await explain(flow.settings, verdict.turn_id, Wanted(policy="harsh"))


async def test_a_verdict_is_found_by_the_place_of_its_turn_and_by_its_conversation(flow: Flow) -> None:
    verdict = await judged(flow, "places")
    everywhere = await explain(flow.settings, verdict.turn_id)
    for wanted in (
        Wanted(source=verdict.source),
        Wanted(conversation_id=verdict.conversation_id),
        Wanted(conversation_id="another"),
        Wanted(tenant="places", since=datetime.now(UTC) - timedelta(hours=1)),
    ):
        assert (await explain(flow.settings, verdict.turn_id, wanted)).place == everywhere.place
    elsewhere = Source(verdict.source.topic, verdict.source.partition, 10_000)
    for wanted, why in (
        (Wanted(tenant="others"), f"no verdict of turn {verdict.turn_id} of tenant others among "),
        (Wanted(since=datetime.now(UTC) + timedelta(hours=1)), "older than --since"),
        (Wanted(source=elsewhere), "no turn stands at"),
    ):
        with pytest.raises(DataError, match=why):
            await explain(flow.settings, verdict.turn_id, wanted)
    with pytest.raises(DataError, match="another turn stands at"):
        await explain(flow.settings, "another", Wanted(source=verdict.source))


async def test_an_old_verdict_is_found_step_by_step(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await judged(flow, "old")
    await taught(flow, "newer", "safe")
    monkeypatch.setattr("stream.explain.finding.FIRST_STEP", 1)
    counts: list[tuple[str, int]] = []
    told = await explain(flow.settings, first.turn_id, Wanted(), lambda what, count: counts.append((what, count)))
    assert told.turn_id == first.turn_id
    assert ("searching " + flow.names.verdicts) in {what for what, _ in counts}


async def test_the_command_prints_tables_or_json_and_the_text_only_when_asked(flow: Flow) -> None:
    verdict = await judged(flow, "printed", text=SECRET)
    shown = await asyncio.to_thread(invoke, flow, verdict.turn_id, "--since", "1h")
    assert shown.exit_code == 0, shown.output
    assert "Who carried the score" in shown.stdout
    assert "which equals the published" in shown.stdout
    as_json = await asyncio.to_thread(invoke, flow, verdict.turn_id, "--json", "--policy", "strict")
    told = msgspec.json.decode(as_json.stdout, type=Explanation)
    assert told.otherwise is not None
    assert SECRET not in shown.output + as_json.output
    place = f"{verdict.source.topic}/{verdict.source.partition}/{verdict.source.offset}"
    with_text = await asyncio.to_thread(invoke, flow, verdict.turn_id, "--source", place, "--text", "--no-labels")
    assert SECRET in with_text.stdout


async def test_a_turn_without_a_verdict_is_one_line_that_says_where_it_looked(flow: Flow) -> None:
    result = await asyncio.to_thread(invoke, flow, "nobody", "--json")
    assert (result.exit_code, result.stdout, result.stderr.splitlines()[-1][:27]) == (
        1,
        "",
        "Error: no verdict of turn n",
    )
    assert flow.names.verdicts in result.stderr
    assert json.dumps(flow.settings.topic_prefix)[1:-1] in result.stderr
