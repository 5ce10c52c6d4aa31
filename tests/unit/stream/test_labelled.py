"""Labelled turns as rows of a data set."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from ensemble.policy import CLASSES
from ensemble.votes import Limits, Vote
from experts.label_sets import AEGIS
from experts.taxonomy import RISKS, normalised
from experts.train.turns import calls_unsafe
from stream.labelled import AEGIS_NAMES, Ballot, Ballots, Row, column_of, row_of
from stream.labelled_forms import as_csv, as_json_lines
from stream.records import Label, LabelName, Revocation, Turn, Utterance
from stream.requests import Asked, Requests

AT = datetime(2026, 1, 1, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1000)
TURN = Turn("t", "c", "assistant", "Take the 9:15, platform 2.", AT)


def ballot(says: LabelName, *categories: str, at_ms: int = AT_MS) -> Ballot:
    return Ballot(Vote(CLASSES.index(says), at_ms), categories)


def row(*votes: Ballot, limits: Limits | None = None, width: int = 5) -> Row:
    named = [(f"annotator {number}", vote) for number, vote in enumerate(votes)]
    return row_of(TURN, (Utterance("user", "Which train?"),), named, limits or Limits(), width)


def test_every_risk_is_written_as_the_data_set_writes_it_and_read_back_as_ours() -> None:
    assert set(AEGIS_NAMES) == set(RISKS)
    for risk, shown in AEGIS_NAMES.items():
        assert AEGIS[normalised(shown)] == risk
        assert "," not in shown


@pytest.mark.parametrize(
    ("says", "categories", "column", "permissive", "defensive"),
    [
        ("safe", ("hate",), "Safe", False, False),
        ("needs_caution", ("hate",), "Needs Caution", False, True),
        ("unsafe", ("violence", "threat"), "Violence, Threat", True, True),
        ("unsafe", (), "Other", True, True),
        ("unsafe", ("a word of their own",), "Other", True, True),
    ],
)
def test_a_column_is_read_by_the_trainer_as_the_annotator_meant_it(
    says: LabelName, categories: tuple[str, ...], column: str, permissive: bool, defensive: bool
) -> None:
    assert column_of(ballot(says, *categories)) == column
    assert calls_unsafe(column, "permissive") == permissive
    assert calls_unsafe(column, "defensive") == defensive


def test_a_row_has_each_vote_without_names_and_what_the_majority_says() -> None:
    columns = row(ballot("unsafe", "fraud_deception"), ballot("unsafe"), ballot("safe")).columns()
    assert [columns[f"labels_{number}"] for number in range(5)] == ["Fraud/Deception", "Other", "Safe", "", ""]
    assert (columns["num_annotations"], columns["text_type"], columns["unsafe"]) == (3, "llm_response", True)
    assert columns["history"] == [{"role": "user", "text": "Which train?"}]
    assert "annotator" not in json.dumps(columns)


def test_needs_caution_is_neither_safe_nor_unsafe_and_named_among_the_categories() -> None:
    found = row(ballot("needs_caution", "profanity"))
    assert (found.unsafe, found.categories) == (None, ("Needs Caution", "Profanity"))


def test_a_tie_goes_to_the_more_severe_class_and_a_trusted_annotator_outweighs() -> None:
    assert row(ballot("safe"), ballot("unsafe")).unsafe is True
    assert row(ballot("safe"), ballot("unsafe"), limits=Limits(weights={"annotator 0": 3.0})).unsafe is False


def label(says: LabelName, annotator: str = "ann", at_ms: int = AT_MS, tenant: str = "default") -> Label:
    return Label("t", "c", says, annotator, datetime.fromtimestamp(at_ms / 1000, UTC), tenant)


def test_the_newest_vote_counts_and_revoked_or_older_ones_do_not() -> None:
    requests = Requests()
    revoked = Revocation("mallory", None, AT, AT, AT)
    requests.revocations[b"key"] = Asked(revoked, (0, 0))
    ballots = Ballots(requests, AT, "default")
    for one in (
        label("safe", at_ms=AT_MS + 1_000),
        label("unsafe", at_ms=AT_MS),
        label("unsafe", "mallory"),
        label("unsafe", "early", AT_MS - 1),
        label("unsafe", "elsewhere", tenant="acme"),
    ):
        ballots.add(one, AT_MS + 2_000)
    assert [(who, CLASSES[said.vote.label]) for who, said in ballots.take(TURN)] == [("ann", "safe")]
    assert ballots.take(TURN) == []  # a turn that was sent twice is one row


def test_csv_and_json_lines_hold_the_same_and_any_text_survives() -> None:
    text = 'A "quoted", line\nand another; =1+1; é ü 漢'
    one = row_of(Turn("t", "c", "user", text, AT), (), [("ann", ballot("safe"))], Limits(), 5)
    as_lines, as_table = as_json_lines(), as_csv()
    lines = as_lines(one) + as_lines(one)
    table = as_table(one) + as_table(one)
    parsed = [json.loads(line) for line in lines.splitlines()]
    rows = list(csv.DictReader(io.StringIO(table.decode(), newline="")))
    assert len(parsed) == len(rows) == 2
    assert {line["text"] for line in parsed} == {found["text"] for found in rows} == {text}
    assert list(parsed[0]) == list(rows[0])
    assert rows[0]["unsafe"] == "0"
    assert json.loads(rows[0]["history"]) == []
