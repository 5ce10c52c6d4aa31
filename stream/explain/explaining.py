"""One turn explained: reads what is needed of the topics, and puts it together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ensemble.policy import Policy
from ensemble.votes import Vote
from stream import state
from stream.errors import SettingsError, TopicsError
from stream.explain.finding import Advance, Found, Said, Search, labels_of, text_of
from stream.explain.now import Today, today
from stream.explain.reckoning import clip_of, recomputed, shares, why
from stream.explain.results import Decided, Explanation, GivenLabel, Taught
from stream.explain.taught import Votes, Weighing, taught, votes_since
from stream.letters import instant
from stream.policies import Policies
from stream.records import LABELS, Source, Threshold, Thresholds, Verdict
from stream.requests import milliseconds
from stream.settings import Settings

CLOCKS_MS: Final = 10 * 60_000
"""So far before its verdict a turn's labels are looked for: a label has the clock of whoever sent it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for besides the turn. `conversation_id` names the partitions that are searched first, `source` the
    partition and the time of the turn; `since` is how far back the search goes. `labels`: also look for the labels that
    moved the weights since, which reads the state's changelog from the verdict on; `newest`: so many of them are told
    one by one. `text`: also the turn's text."""

    tenant: str | None = None
    conversation_id: str | None = None
    source: Source | None = None
    since: datetime | None = None
    policy: str | None = None
    labels: bool = True
    newest: int = 10
    text: bool = False


def untold(what: str, count: int) -> None:
    """For callers that show no progress."""


async def explain(
    settings: Settings, turn_id: str, wanted: Wanted = Wanted(), advance: Advance = untold
) -> Explanation:
    """Why this turn was labelled so, and what today's ensemble would say of it.

    `advance` is told how many records of a topic were read. Raises DataError, one line, when the turn has no verdict
    where it looked; SettingsError for a policy that is not defined; TopicsError or BrokerError, one line, when it
    cannot look."""
    other = _other_policy(settings, wanted.policy)
    search = Search(settings, turn_id, wanted.tenant, advance)
    if wanted.source is not None:
        found = await search.behind(wanted.source)
    else:
        found = await search.anywhere(wanted.since, wanted.conversation_id)
    verdict, notes = found.verdict, list[str]()
    since_ms = milliseconds(verdict.scored_at)
    said = await labels_of(settings, verdict, since_ms - verdict.latency_ms - CLOCKS_MS, advance)
    now = await today(settings, verdict, advance)
    votes = None
    if wanted.labels:
        votes = Votes(verdict.context, state.pending_key(verdict.tenant, verdict.turn_id))
        try:
            await votes_since(settings, votes, since_ms, advance)
        except TopicsError as error:  # whoever may not read the state may still see why
            notes.append(f"what moved the weights is not known: {error}")
            votes = None
    text = await text_of(settings, verdict) if wanted.text else None
    if wanted.text and text is None:
        notes.append("the text is not there any more: its topic keeps it no longer, or it was forgotten")
    return _Case(settings, found, now, said, votes, wanted.newest).explained(other, text, notes)


def _other_policy(settings: Settings, name: str | None) -> Policy | None:
    """Raises SettingsError, one line, for a policy that is not defined."""
    known = settings.defined_policies()
    if name is not None and name not in known:
        raise SettingsError(f"there is no policy {name!r}: use one of {', '.join(known)}")
    return None if name is None else known[name]


@dataclass(frozen=True, slots=True)
class _Case:
    """What was read of one turn."""

    settings: Settings
    found: Found
    now: Today
    said: Sequence[Said]
    votes: Votes | None
    newest: int

    def explained(self, other: Policy | None, text: str | None, notes: list[str]) -> Explanation:
        verdict, policy = self.found.verdict, Policies(self.settings).of(self.found.verdict.context)
        then = self.settings.defined_policies().get(verdict.policy)
        now, weights = self.now.decide(verdict, policy)
        modes = map(self.now.mode_of, verdict.experts)
        experts = shares(verdict, clip_of(then), weights, modes, clip_of(policy))
        return Explanation(
            form=1,
            turn_id=verdict.turn_id,
            conversation_id=verdict.conversation_id,
            tenant=verdict.tenant,
            role=verdict.role,
            label=verdict.label,
            score=verdict.score,
            why=why(verdict, then, experts),
            policy=verdict.policy,
            context=verdict.context,
            rounds=verdict.rounds,
            categories=verdict.categories,
            asked=verdict.ask_label,
            ask_probability=verdict.ask_probability,
            scored_at=verdict.scored_at,
            latency_ms=verdict.latency_ms,
            source=verdict.source,
            place=self.found.place,
            experts=experts,
            recomputed=recomputed(verdict, clip_of(then)),
            thresholds=_fixed(then),
            now=now,
            otherwise=None if other is None else self.now.decide(verdict, other)[0],
            labels=tuple(map(self._given, self.said)),
            taught=self._taught(policy, now.rounds - verdict.rounds),
            text=text,
            notes=(*notes, *self._unknown(verdict, then, now)),
        )

    def _taught(self, policy: Policy, rounds: int) -> Taught | None:
        if self.votes is None:
            return None
        weighing = Weighing(self.now.view, self.now.context, policy, self.now.forecaster(policy))
        return taught(self.votes, rounds, self.newest, weighing)

    def _given(self, said: Said) -> GivenLabel:
        label, record = said
        at_ms = min(milliseconds(label.labelled_at), record.timestamp)
        pending = self.votes.turn if self.votes is not None else None
        vote = Vote(LABELS.index(label.label), at_ms)
        counts = None if pending is None else pending.votes.get(label.annotator) == vote
        return GivenLabel(
            label.label, label.annotator, label.labelled_at, instant(record.timestamp),
            record.partition, record.offset, counts,
        )  # fmt: skip

    def _unknown(self, verdict: Verdict, then: Policy | None, now: Decided) -> Iterator[str]:
        """What nobody can say any more."""
        if then is None:
            yield f"policy {verdict.policy} is not among the settings here: its thresholds are not known"
        elif then.thresholds != "fixed":
            yield "the thresholds that decided then are not recorded; today's are shown"
        if self.votes is not None and now.rounds - verdict.rounds > len(self.votes.turns):
            gone = now.rounds - verdict.rounds - len(self.votes.turns)
            yield f"{gone:,} labelled turns that were learned since have left the state (AEGIS_LABEL_HORIZON)"
        if now.rounds < verdict.rounds:
            yield "fewer labelled turns count today than then: labels were revoked, or moments are not read yet"
        if verdict.context not in self.now.view.priors:
            yield "the context has learned nothing of its own yet: its weights are those of its parents"


def _fixed(policy: Policy | None) -> Thresholds | None:
    """Those that the settings give, as they are published."""
    if policy is None or policy.thresholds != "fixed":
        return None
    caution, unsafe = (
        Threshold(value, value, value, calibrated=False) for value in (policy.caution_at, policy.unsafe_at)
    )
    return Thresholds(caution, unsafe)
