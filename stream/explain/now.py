"""Today's ensemble of one context, read from the topics as a worker reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from ensemble.forecaster import Forecaster
from ensemble.policy import Policy
from ensemble.rounds import Floats
from stream import projection
from stream.asking import unasked_of
from stream.calibration import thresholds_of
from stream.codecs import UNREADABLE
from stream.errors import ForeignRecordError
from stream.expert_modes import DISABLED, ENABLED, SHADOW, Wishes
from stream.explain.finding import Advance
from stream.explain.results import Decided, ModeNow
from stream.following import existing
from stream.records import LABELS, Opinion, Verdict, Weights
from stream.settings import Settings
from stream.topics import TopicNames
from stream.view import MergedView

_weights = msgspec.json.Decoder(Weights)


def expert_id(opinion: Opinion) -> str:
    """As the moments name an expert."""
    return f"{opinion.name}@{opinion.version}"


@dataclass(frozen=True, slots=True)
class Today:
    """What workers know of a context now: the sums of what was learned, who votes, and what operators want of experts
    by name."""

    view: MergedView
    context: str
    voters: tuple[str, ...]
    wishes: Wishes

    def mode_of(self, opinion: Opinion) -> ModeNow:
        """What becomes of the advice of the expert that gave this opinion."""
        if expert_id(opinion) in self.voters:
            return "votes"
        wish = self.wishes.wishes.get(opinion.name)
        return "shadow" if wish is not None and wish.mode == SHADOW else "not asked"

    def forecaster(self, policy: Policy) -> Forecaster:
        """Its weights under a policy."""
        return self.view.forecaster(self.context, policy, self.voters)

    def decide(self, verdict: Verdict, policy: Policy) -> tuple[Decided, dict[str, float]]:
        """What is decided of the advice in a verdict now, and the weight of each expert in that, by id."""
        advice, awake = advice_of(verdict, self.voters)
        forecaster, deciding = self.forecaster(policy), self.view.deciding(self.context, policy)
        said = forecaster.forecast(advice[None, :], awake[None, :])
        score = float(said.published[0]) if said.decided[0] else None
        label = LABELS[deciding.decide(float(said.published[0]))]
        thresholds = thresholds_of(self.view.thresholds(self.context, policy))
        decided = Decided(
            policy.name, forecaster.rounds, score, label, label != verdict.label,
            thresholds.caution, thresholds.unsafe,
        )  # fmt: skip
        return decided, dict(zip(self.voters, said.weights[0].tolist(), strict=True))


def advice_of(verdict: Verdict, voters: Iterable[str]) -> tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]]:
    """[K] scores and who was awake of these experts, also of those that had no vote then; one that was not asked
    slept. Scores as experts said them: float32."""
    said = {expert_id(opinion): opinion.score for opinion in verdict.experts}
    scores = [said.get(voter) for voter in voters]
    advice = np.array([np.nan if score is None else score for score in scores], np.float32).astype(np.float64)
    return advice, ~np.isnan(advice)


async def today(settings: Settings, verdict: Verdict, advance: Advance) -> Today:
    """Reads it. Raises TopicsError or BrokerError, one line."""
    wishes, names = Wishes(), TopicNames.of(settings)
    async for records in existing(settings, names.experts):
        wishes.learn(records)
    standing = await _standing(settings, verdict.context, advance)
    view = await _view(settings, verdict.context, advance)
    return Today(view, verdict.context, _voters(verdict, standing, wishes), wishes)


def _voters(verdict: Verdict, standing: Weights | None, wishes: Wishes) -> tuple[str, ...]:
    """The ids of those that vote. A context without labels has no record: then those that voted on the turn do, unless
    operators have said otherwise since."""
    if standing is not None and (voting := tuple(one.id for one in standing.experts if one.weight > 0.0)):
        return voting
    modes = {name: wish.mode for name, wish in wishes.wishes.items()}
    before = {expert_id(one): DISABLED if one.status == SHADOW else ENABLED for one in verdict.experts}
    voting = tuple(expert_id(one) for one in verdict.experts if modes.get(one.name, before[expert_id(one)]) == ENABLED)
    return voting or tuple(expert for expert, mode in before.items() if mode == ENABLED)


async def _standing(settings: Settings, context: str, advance: Advance) -> Weights | None:
    """What was last published of a context; None where nothing was."""
    topic, key, found = TopicNames.of(settings).weights, context.encode(), None
    async for records in existing(settings, topic):
        advance(f"reading {topic}", len(records))
        for record in records:
            if record.key == key and record.value is not None:
                found = record.value
    try:
        return None if found is None else _weights.decode(found)
    except UNREADABLE:
        return None  # of a version that is not ours: the moments say the same


async def _view(settings: Settings, context: str, advance: Advance) -> MergedView:
    """What all partitions have learned of one context; where it has no prior of its own yet, of all of them, as it is
    forecast from its parents."""
    keys = {projection.part_key(context), projection.part_key(unasked_of(context)), projection.prior_key(context)}
    view = await _read(settings, lambda key: key in keys, advance)
    if context not in view.priors:
        view = await _read(settings, lambda key: True, advance)
        while view.parents.count():
            pass
    return view


async def _read(settings: Settings, wanted: Callable[[bytes | None], bool], advance: Advance) -> MergedView:
    view, topic = MergedView(settings), TopicNames.of(settings).moments

    async for records in existing(settings, topic):
        advance(f"reading {topic}", len(records))
        for record in records:
            if wanted(record.key):
                try:
                    view.learn(record.partition, record.key, record.value)
                except ForeignRecordError:
                    continue  # the workers, which leave it out too, say so in their logs
    return view
