"""From verdicts to OpenAI's response. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from stream.gateway.categories import NOT_TOLD, TOLD, flags, scores
from stream.gateway.shapes import Detail, ModerationResponse, Result, Way
from stream.records import Verdict


def response(verdicts: Sequence[Verdict], way: Way) -> ModerationResponse:
    """The answer to one request, whose verdicts are of one tenant and so of one policy."""
    results = tuple(result(verdict, way) for verdict in verdicts)
    return ModerationResponse(f"modr-{uuid.uuid4().hex}", f"aegis-{verdicts[0].policy}", results)


def result(verdict: Verdict, way: Way) -> Result:
    """Of one input."""
    flagged, scored = verdict.label == "unsafe", scores(verdict.categories)
    told = NOT_TOLD if verdict.score is None else TOLD
    return Result(flagged, flags(scored, flagged), scored, told, _detail(verdict, way))


def _detail(verdict: Verdict, way: Way) -> Detail:
    recorded = way == "topics"
    return Detail(
        verdict.label, verdict.score, verdict.policy, verdict.turn_id, verdict.conversation_id, verdict.tenant,
        way, verdict.categories, verdict.experts, verdict.context, verdict.rounds,
        verdict.source if recorded else None, verdict.scored_at, verdict.latency_ms,
        verdict.ask_label and recorded,
    )  # fmt: skip
